"""What has become of jobs, told to the broker.

Completions are gathered like a group commit: the first go at once; while their request is under way
the next ones gather and go together, at the latest along with the next claim, whose commit they
share. So a busy worker sends far fewer requests than it runs jobs, and an idle one waits for
nothing. Failures go one by one, and share the broker's commits as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from typing import Any, NamedTuple

from msgspec import Raw, UnsetType

from osqueue.client.models import Job
from osqueue.config import BATCH_JOBS_MAX
from osqueue.errors import OsqueueError, PayloadValidationError, WorkerExecutionError
from osqueue.jobs import JobCallbacks
from osqueue.worker.callbacks import CallbackRunner
from osqueue.worker.context import WorkerContext
from osqueue.worker.failures import Failure, describe

__all__ = ["Reports"]

_log = logging.getLogger("osqueue.worker")


class _Done(NamedTuple):
    job: Job
    result: Raw | UnsetType


class Reports:
    """Reports jobs, and closes them in the book. How many wait here is bounded there.

    ``sent`` is called with each request, and what it answers is called when that is answered.
    """

    def __init__(
        self,
        context: WorkerContext,
        *,
        callbacks: JobCallbacks,
        runner: CallbackRunner,
        own_files: frozenset[str],
        sent: Callable[[], Callable[[], None]],
    ) -> None:
        self._context = context
        self._callbacks = callbacks
        self._runner = runner
        self._own_files = own_files
        self._sent = sent
        self._completing = context.persistence("completing jobs")
        self._failing = context.persistence("reporting failures")
        self._done: list[_Done] = []
        self._sending = 0
        """Requests with completions that are under way."""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def tasks(self) -> Collection[asyncio.Task[None]]:
        """The requests under way."""
        return self._tasks

    def __len__(self) -> int:
        """Reports that the broker has not answered: requests, and what waits to be sent."""
        return len(self._tasks) + len(self._done)

    def complete(self, job: Job, result: Raw | UnsetType) -> None:
        """Report a job as done, with what else is done in this turn."""
        self._done.append(_Done(job, result))
        self._context.changes.tell()

    def fail(self, job: Job, failure: Failure) -> None:
        """Report a failed attempt."""
        self._spawn(self._fail(job, failure), f"osqueue-fail-{job.job_id}")

    def turn(self, *, claims: bool) -> None:
        """Send what is done, unless some is under way; but do so if a claim is sent as well."""
        if self._done and (claims or not self._sending):
            self._sending += 1
            self._spawn(self._send_done(self._next_batch()), "osqueue-completions")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_done(self, batch: list[_Done]) -> None:
        answered = self._sent()
        try:
            refusals = await self._send(batch)
        finally:
            self._sending -= 1
            self._context.changes.tell()
        answered()
        for done, refusal in zip(batch, refusals, strict=True):
            self._completed(done, refusal)

    def _next_batch(self) -> list[_Done]:
        """The longest waiting, each job id once: a broker refuses a batch with doubles."""
        batch: dict[str, _Done] = {}
        later: list[_Done] = []
        for done in self._done:
            fits = len(batch) < BATCH_JOBS_MAX and done.job.job_id not in batch
            if fits:
                batch[done.job.job_id] = done
            else:
                later.append(done)
        self._done = later
        return list(batch.values())

    async def _send(self, batch: list[_Done]) -> list[OsqueueError | None]:
        jobs, results = [done.job for done in batch], [done.result for done in batch]
        client = self._context.client
        try:
            return await self._completing.until_answered(
                lambda: client.complete_jobs(jobs, results)
            )
        except OsqueueError as error:
            return [error] * len(jobs)
        except Exception as error:  # noqa: BLE001 - they would be kept for ever
            _log.exception("%d completions could not be sent", len(jobs))
            return [WorkerExecutionError(str(error))] * len(jobs)

    def _completed(self, done: _Done, refusal: OsqueueError | None) -> None:
        job = done.job
        if isinstance(refusal, PayloadValidationError):
            self.fail(
                job, Failure(refusal, retry=False)
            )  # it is still held: the result is at fault
            return
        self._context.book.close(job)
        if refusal is None:
            self._runner.tell(self._callbacks.completed, job)
        else:
            _log.warning("job %s: done, but not completed: %s", job.job_id, refusal)

    async def _fail(self, job: Job, failure: Failure) -> None:
        described = describe(failure.error, without=self._own_files)
        _log.info("job %s: failed: %s: %s", job.job_id, described.type, described.message)
        answered = self._sent()
        try:
            await self._failing.until_answered(
                lambda: self._context.client.fail_job(
                    job, described, retry=failure.retry, delay_ms=failure.delay_ms
                )
            )
        except OsqueueError as refusal:
            _log.warning("job %s: failed, but not reported: %s", job.job_id, refusal)
        else:
            self._runner.tell(self._callbacks.failed, job, failure.error)
        finally:
            answered()
            self._context.book.close(job)
            self._context.changes.tell()
