"""From a claimed job to its report.

A job's task runs its handler, gives the slot back, and then sees to the report. Whatever a
handler or a callback raises ends here: it fails its job, or is logged, and harms no other.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import inspect
import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from typing import Any, Final

import msgspec

from osqueue.client.failures import describe_failure
from osqueue.client.models import Job
from osqueue.errors import OsqueueError, PayloadValidationError, WorkerExecutionError
from osqueue.tracing import handling
from osqueue.worker import handlers as handlers_module
from osqueue.worker.completions import Completions
from osqueue.worker.context import WorkerContext
from osqueue.worker.handlers import Handler

__all__ = ["Callbacks", "Execution"]

_log = logging.getLogger("osqueue.worker")
_OWN_FILES: Final = frozenset(
    {__file__, handlers_module.__file__, concurrent.futures.thread.__file__}
)


class Callbacks(msgspec.Struct, frozen=True, kw_only=True):
    """What a program wants to be told, by plain or async functions."""

    claimed: Callable[[Job], Any] | None = None
    completed: Callable[[Job], Any] | None = None
    failed: Callable[[Job, BaseException], Any] | None = None


class _Failure(msgspec.Struct, frozen=True):
    error: BaseException
    retry: bool = True


class Execution:
    """Runs jobs, each in a task of its own."""

    def __init__(
        self,
        context: WorkerContext,
        handlers: Mapping[str, Handler],
        *,
        executor: Executor | None,
        completions: Completions,
        callbacks: Callbacks,
    ) -> None:
        self._context = context
        self._handlers = handlers
        self._executor = executor
        self._completions = completions
        self._callbacks = callbacks
        self._persistence = context.persistence("reporting failures")
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def tasks(self) -> Collection[asyncio.Task[None]]:
        """The jobs under way: running, or being reported."""
        return self._tasks.values()

    def begin(self, job: Job) -> None:
        """Start a job that the lease book has taken."""
        task = asyncio.create_task(self._see_through(job), name=f"osqueue-job-{job.job_id}")
        self._tasks[job.lease] = task
        task.add_done_callback(lambda ended: self._forget(job, ended))
        self._context.changes.tell()

    def interrupt(self, job: Job) -> None:
        """Tell a job's handler to end. One in a thread can only look at ``job.cancelled``."""
        job.cancelled.set()
        handler, task = self._handlers.get(job.type), self._tasks.get(job.lease)
        if task is not None and (handler is None or handler.on_loop):
            task.cancel()

    def withdraw(self) -> dict[Job, asyncio.Task[None]]:
        """Tell all running handlers to end; answers their jobs, which are to be released."""
        withdrawn = self._context.book.withdraw()
        for job in withdrawn:
            self.interrupt(job)
        return {job: self._tasks[job.lease] for job in withdrawn}

    def lost(self, job: Job) -> None:
        """The broker no longer knows the lease."""
        if self._context.book.lose(job):
            _log.warning("job %s: lease lost; its handler is told to end", job.job_id)
            self.interrupt(job)

    async def _see_through(self, job: Job) -> None:
        failure = await self._run(job)
        if not self._context.book.ended(job):
            return
        self._context.changes.tell()
        if failure is None:
            await self._complete(job)
        else:
            await self._fail(job, failure)

    async def _run(self, job: Job) -> _Failure | None:
        try:
            await _notify(self._callbacks.claimed, job)
            handler = self._handlers.get(job.type)
            if handler is None:
                return _Failure(WorkerExecutionError(f"no handler for {job.type!r}"), retry=False)
            return await self._handle(handler, job)
        except asyncio.CancelledError as error:
            if _torn_down(job):
                raise
            return _Failure(error)

    async def _handle(self, handler: Handler, job: Job) -> _Failure | None:
        try:
            payload = job.payload
        except PayloadValidationError as error:
            return _Failure(error, retry=False)
        try:
            with handling(job.job_id, job.type, job.attempt, job.traceparent):
                await handler.run(payload, job, self._executor)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises, it failed
            return _Failure(error)
        return None

    async def _complete(self, job: Job) -> None:
        refusal = await self._completions.complete(job)
        if refusal is None:
            await _notify(self._callbacks.completed, job)
        else:
            _log.warning("job %s: done, but not completed: %s", job.job_id, refusal)

    async def _fail(self, job: Job, failure: _Failure) -> None:
        described = describe_failure(failure.error, without=_OWN_FILES)
        _log.info("job %s: failed: %s: %s", job.job_id, described.type, described.message)
        try:
            await self._persistence.until_answered(
                lambda: self._context.client.fail_job(job, described, retry=failure.retry)
            )
        except OsqueueError as refusal:
            _log.warning("job %s: failed, but not reported: %s", job.job_id, refusal)
        else:
            await _notify(self._callbacks.failed, job, failure.error)

    def _forget(self, job: Job, ended: asyncio.Task[None]) -> None:
        self._tasks.pop(job.lease, None)
        self._context.book.close(job)
        self._context.changes.tell()
        if not ended.cancelled() and (error := ended.exception()) is not None:
            _log.error("job %s: the worker itself failed", job.job_id, exc_info=error)


def _torn_down(job: Job) -> bool:
    """Whether the task itself is being cancelled, rather than the handler by us or by itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0 and not job.cancelled.is_set()


async def _notify(callback: Callable[..., Any] | None, *arguments: Any) -> None:
    if callback is None:
        return
    try:
        result = callback(*arguments)
        if inspect.isawaitable(result):
            await result
    except Exception:  # noqa: BLE001 - a program's callback must not harm its jobs
        _log.exception("a callback failed: %r", callback)
