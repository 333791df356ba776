"""Giving jobs back, in the background: a stopping worker must not wait for each in turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from osqueue.client.models import Job
from osqueue.errors import OsqueueError
from osqueue.worker.context import WorkerContext

__all__ = ["Releases"]

_log = logging.getLogger("osqueue.worker")


class Releases:
    """Releases jobs, and closes them in the book. There are never more than one claim brings, or
    one worker holds.
    """

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._persistence = context.persistence("releasing jobs")
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def tasks(self) -> Collection[asyncio.Task[None]]:
        """The releases under way."""
        return self._tasks

    def begin(self, job: Job) -> None:
        """Release a job; its attempt does not count."""
        task = asyncio.create_task(self._release(job), name=f"osqueue-release-{job.job_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _release(self, job: Job) -> None:
        try:
            await self._persistence.until_answered(lambda: self._context.client.release_job(job))
        except OsqueueError as refusal:
            _log.warning("job %s: not released: %s", job.job_id, refusal)
        else:
            _log.info("job %s: released", job.job_id)
        finally:
            self._context.book.close(job)
            self._context.changes.tell()
