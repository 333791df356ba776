"""Completions, gathered like a group commit.

The first goes at once. While its request is under way the next ones gather and go together, so a
busy worker sends far fewer requests than it runs jobs, and an idle one waits for nothing.
"""

from __future__ import annotations

import asyncio

from osqueue.client.models import Job
from osqueue.config import BATCH_JOBS_MAX
from osqueue.errors import OsqueueError
from osqueue.worker.context import WorkerContext

__all__ = ["Completions"]

_Waiting = tuple[Job, asyncio.Future[OsqueueError | None]]


class Completions:
    """Reports jobs as done. How many wait here is bounded by the lease book."""

    def __init__(self, context: WorkerContext) -> None:
        self._client = context.client
        self._persistence = context.persistence("completing jobs")
        self._waiting: list[_Waiting] = []
        self._sender: asyncio.Task[None] | None = None

    async def complete(self, job: Job) -> OsqueueError | None:
        """Report a job as done; answers what the broker said against it."""
        answer: asyncio.Future[OsqueueError | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, answer))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all(), name="osqueue-completions")
        return await answer

    async def stop(self) -> None:
        """Give up what has not been taken by now."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait({self._sender})

    async def _send_all(self) -> None:
        while self._waiting:
            batch = self._next_batch()
            results = await self._send([job for job, _ in batch])
            for (_, answer), result in zip(batch, results, strict=True):
                if not answer.done():
                    answer.set_result(result)

    def _next_batch(self) -> list[_Waiting]:
        """The longest waiting, each job id once: a broker refuses a batch with doubles."""
        batch: dict[str, _Waiting] = {}
        later: list[_Waiting] = []
        for waiting in self._waiting:
            fits = len(batch) < BATCH_JOBS_MAX and waiting[0].job_id not in batch
            if fits:
                batch[waiting[0].job_id] = waiting
            else:
                later.append(waiting)
        self._waiting = later
        return list(batch.values())

    async def _send(self, jobs: list[Job]) -> list[OsqueueError | None]:
        try:
            return await self._persistence.until_answered(lambda: self._client.complete_jobs(jobs))
        except OsqueueError as error:
            return [error] * len(jobs)
