"""RQ over Redis: one job at a time.

Default: a process is forked for each job. Best: "Notes on Performance": `SimpleWorker`, which runs
them in its own; "Jobs": `enqueue_many` in one pipeline; "Results": none is kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType

from peers.jobs import Payload, run
from peers.producers import Calls, Threads
from redis import Redis
from rq import Queue, SimpleWorker, Worker

__all__ = ["connect", "work"]


@dataclass(frozen=True)
class Setting:
    worker: type[Worker]
    result_ttl: int | None = None


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {"default": Setting(Worker), "best": Setting(SimpleWorker, result_ttl=0)}
)


class Enqueues:
    def __init__(self, queue: Queue, setting: Setting) -> None:
        self._queue = queue
        self._result_ttl = setting.result_ttl

    def enqueue(self, payload: Payload) -> None:
        self._queue.enqueue(run, payload, result_ttl=self._result_ttl)

    def enqueue_bulk(self, payloads: Sequence[Payload]) -> None:
        self._queue.enqueue_many(
            Queue.prepare_data(run, (payload,), result_ttl=self._result_ttl) for payload in payloads
        )

    def unfinished(self) -> int:
        return int(self._queue.count) + int(self._queue.started_job_registry.count)


@asynccontextmanager
async def connect(setting: str, store: str) -> AsyncIterator[Calls]:
    queue = Queue(connection=Redis.from_url(store))
    enqueues = Enqueues(queue, SETTINGS[setting])
    yield Threads(enqueues, enqueues.enqueue_bulk)


def work(setting: str, store: str) -> None:
    connection = Redis.from_url(store)
    worker = SETTINGS[setting].worker([Queue(connection=connection)], connection=connection)
    worker.work(logging_level="WARNING")
