"""From a claimed job to what is to be reported of it.

A job's task runs its handler, gives the slot back, and hands on what came of it. Whatever a
handler, a middleware or a callback raises ends here: it fails its job, or is logged, and harms no
other.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import logging
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from osqueue.client.models import Job
from osqueue.client.transports.lifetime import is_cancelled
from osqueue.config import TIME_MS_MAX
from osqueue.worker import calls as calls_module
from osqueue.worker import handlers as handlers_module
from osqueue.worker import middleware as middleware_module
from osqueue.worker import threads as threads_module
from osqueue.worker.attempt import Attempt, Interruption
from osqueue.worker.calls import Calls
from osqueue.worker.context import WorkerContext
from osqueue.worker.failures import Failure, failure_of, overdue
from osqueue.worker.handlers import Handler, Handlers
from osqueue.worker.progress import ProgressBoard
from osqueue.worker.releases import Releases
from osqueue.worker.reports import Reports

__all__ = ["OWN_FILES", "Execution"]

_log = logging.getLogger("osqueue.worker")

OWN_FILES: Final = frozenset(
    {
        __file__,
        calls_module.__file__,
        handlers_module.__file__,
        middleware_module.__file__,
        threads_module.__file__,
        concurrent.futures.thread.__file__,
    }
)
"""Whose frames are left out at the head of a traceback: they are the same in each."""


LAST_S: Final = TIME_MS_MAX // 1_000
"""The last moment that a `datetime` can tell, since the epoch: a deadline may be far beyond."""


class Done(msgspec.Struct, frozen=True):
    """The handler returned; ``result`` is kept, if the job asked for that."""

    result: Raw | UnsetType = UNSET


_Outcome: TypeAlias = Done | Failure
_DONE: Final = Done()


class Execution:
    """Runs jobs, each in a task of its own."""

    def __init__(
        self,
        context: WorkerContext,
        handlers: Handlers,
        calls: Calls,
        *,
        progress: ProgressBoard,
        reports: Reports,
        releases: Releases,
    ) -> None:
        self._context = context
        self._handlers = handlers
        self._calls = calls
        self._progress = progress
        self._reports = reports
        self._releases = releases
        self._settle_s = context.settings.settle_ms / 1_000
        self._attempts: dict[str, Attempt] = {}

    @property
    def tasks(self) -> Collection[asyncio.Task[None]]:
        """The handlers under way."""
        return [each.task for each in self._attempts.values() if each.task is not None]

    def begin(self, job: Job) -> None:
        """Start a job that the lease book has given a slot."""
        attempt = self._attempts[job.lease] = Attempt(job)
        attempt.task = asyncio.create_task(
            self._see_through(attempt), name=f"osqueue-job-{job.job_id}"
        )

    def lost(self, job: Job) -> None:
        """The broker no longer knows the lease."""
        if self._context.book.lose(job):
            _log.warning("job %s: lease lost; its handler is told to end", job.job_id)
            self._attempts[job.lease].interrupt(Interruption.LOST)
        self._context.changes.tell()  # one that waited has left room for another

    def withdraw(self) -> list[Job]:
        """Tell all running handlers to end; answers their jobs, which are to be released."""
        withdrawn = self._context.book.withdraw()
        for job in withdrawn:
            self._attempts[job.lease].interrupt(Interruption.WITHDRAWN)
        return withdrawn

    async def _see_through(self, attempt: Attempt) -> None:
        outcome: _Outcome | None = None
        try:
            outcome = await self._outcome(attempt)
        except Exception as error:  # a fault of the worker's own, which could come again at once:
            outcome = Failure(error)  # so the attempt counts
            raise
        finally:
            self._over(attempt, outcome)

    def _over(self, attempt: Attempt, outcome: _Outcome | None) -> None:
        """The slot is free. Without an outcome, the worker itself is being torn down."""
        job = attempt.job
        attempt.stop_timer()
        del self._attempts[job.lease]
        self._progress.forget(job.lease)
        if self._context.book.ended(job):
            match outcome:
                case Done(result):
                    self._reports.complete(job, result)
                case Failure():
                    self._reports.fail(job, outcome)
                case None:
                    self._releases.begin(job)
        self._context.changes.tell()

    async def _outcome(self, attempt: Attempt) -> _Outcome:
        attempt.began = True
        if attempt.is_in_vain():
            return _DONE  # nobody asks any more
        try:
            handler = self._handlers.get(attempt.job.type) or await self._loaded(attempt)
            if attempt.is_in_vain():  # while its handler was imported
                return _judged(attempt, _DONE)
            if attempt.timeout_s is None:
                self._start_timer(attempt, handler.spec.timeout_s)
            result = await self._calls.result(handler, attempt)
        except BaseException as error:
            if _is_ours(error, attempt):
                raise
            return _judged(attempt, failure_of(error))
        return _judged(attempt, _DONE if result is UNSET else Done(result))

    async def _loaded(self, attempt: Attempt) -> Handler:
        """The handler, imported: not on the loop, since that takes some of the job's time."""
        self._start_timer(attempt, self._handlers.timeout_s(attempt.job.type))
        return await self._calls.in_thread(attempt, self._handlers.load, attempt.job.type)

    # Handlers whose time is up

    def _start_timer(self, attempt: Attempt, timeout_s: float | None) -> None:
        if attempt.job.timeout_ms is not None:
            timeout_s = attempt.job.timeout_ms / 1_000
        if timeout_s is not None:
            now_s = self._context.client.runtime.clock.wall_ms() / 1_000
            attempt.timeout_s = timeout_s
            attempt.deadline = datetime.fromtimestamp(min(now_s + timeout_s, LAST_S), UTC)
            loop = asyncio.get_running_loop()
            attempt.timer = loop.call_later(timeout_s, self._time_is_up, attempt)

    def _time_is_up(self, attempt: Attempt) -> None:
        attempt.timer = None
        if attempt.interruption is not None:
            return
        attempt.interrupt(Interruption.OVERDUE)
        if attempt.in_thread:
            self._give_up(attempt)
        else:
            loop = asyncio.get_running_loop()
            attempt.timer = loop.call_later(self._settle_s, self._give_up, attempt)

    def _give_up(self, attempt: Attempt) -> None:
        """Report the failure of a handler that goes on; its slot stays taken until it ends."""
        if attempt.timeout_s is not None and self._context.book.tell(attempt.job):
            _log.warning(
                "job %s: its time is up, and its handler goes on; its slot stays taken",
                attempt.job.job_id,
            )
            self._reports.fail(attempt.job, overdue(attempt.timeout_s))


def _judged(attempt: Attempt, outcome: _Outcome) -> _Outcome:
    """An attempt whose time was up has failed, however it ended."""
    if attempt.interruption is not Interruption.OVERDUE or attempt.timeout_s is None:
        return outcome
    return overdue(attempt.timeout_s, outcome.error if isinstance(outcome, Failure) else None)


def _is_ours(error: BaseException, attempt: Attempt) -> bool:
    """Whether an error is not the handler's: its task is torn down, or the program is."""
    if isinstance(error, asyncio.CancelledError):
        return attempt.interruption is None and is_cancelled()
    if isinstance(error, KeyboardInterrupt):
        return not attempt.was_in_thread  # Ctrl-C, while the handler ran on the loop
    return isinstance(error, GeneratorExit)
