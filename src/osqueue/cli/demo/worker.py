"""The demo's worker: ``osqueue worker osqueue.cli.demo.worker:worker``."""

from __future__ import annotations

import os
import threading
import warnings
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from osqueue.cli.demo.corpus import standard_library
from osqueue.cli.demo.index import UnreadableSourceError, index_source
from osqueue.cli.demo.place import Place
from osqueue.cli.demo.results import Result, Results
from osqueue.client import Job, OsqueueClient
from osqueue.clock import SystemClock
from osqueue.config import WorkerSettings
from osqueue.worker import JobContext, Worker

__all__ = ["DATA_VARIABLE", "INDEX_FILE", "PING", "indexed", "worker"]

INDEX_FILE: Final = "index-file"
PING: Final = "ping"
DATA_VARIABLE: Final = "OSQUEUE_DEMO_DATA"

CONCURRENCY: Final = 16
"""Jobs of one process at a time: while one is read, others are claimed, stored and reported."""

SETTINGS: Final = WorkerSettings(heartbeat_interval_ms=1_000, grace_ms=2_000, settle_ms=500)

_clock = SystemClock()
_parser = threading.Lock()  # `ast` of Python 3.11 miscounts its depth when two threads use it


def worker(client: OsqueueClient) -> Worker:
    """The worker; the environment says where its results go."""
    warnings.simplefilter("ignore")  # parsing warns of what is old in old sources
    place = Place(Path(os.environ[DATA_VARIABLE]))
    results, pings = Results(place.results), Results(place.pings)

    def index_file(payload: dict[str, Any], job: JobContext) -> None:
        results.write(indexed(payload["path"], job))

    async def ping(_payload: object, job: JobContext) -> None:
        pings.write(_started("", job))

    handlers = {INDEX_FILE: index_file, PING: ping}
    return Worker(client, handlers, CONCURRENCY, settings=SETTINGS)


def indexed(path: str, job: Job | JobContext) -> Result:
    """The result of indexing a file of the standard library."""
    started = _started(path, job)
    try:
        source = (standard_library() / path).read_bytes()
        with _parser:
            index = index_source(source)
    except UnreadableSourceError as error:
        return replace(started, skipped=str(error))
    except OSError as error:
        return replace(started, skipped=error.strerror or str(error))
    return replace(started, index=index)


def _started(path: str, job: Job | JobContext) -> Result:
    return Result(
        job_id=job.job_id,
        path=path,
        attempt=job.attempt,
        created_at=job.created_at,
        started_at=_clock.wall_ms(),
    )
