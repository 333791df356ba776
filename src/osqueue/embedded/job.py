"""A job of an embedded queue, with its payload as the type that the queue was given."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Generic, Self, TypeVar

from osqueue.client.models import Job
from osqueue.embedded.hold import Hold
from osqueue.embedded.keeper import Keeper
from osqueue.embedded.reports import Reports
from osqueue.errors import OsqueueError

__all__ = ["QueueJob"]

T = TypeVar("T")


class QueueJob(Generic[T]):
    """A job that this process holds.

    ``async with job:`` ends it by how the body ends: completed; failed with the exception that
    leaves the body, which goes on; or given back when the body is cancelled. Meanwhile its lease is
    kept. When that is lost all the same the body is cancelled, and ``async with`` raises
    `LeaseLostError`; when the job's ``timeout_ms`` is over, `TimeoutError`, and the attempt has
    failed. What the body has reported itself is left as it is.
    """

    def __init__(self, hold: Hold, payload: T, *, keeper: Keeper, reports: Reports) -> None:
        self.payload = payload
        self._hold = hold
        self._keeper = keeper
        self._reports = reports
        self._cancels = 0
        self._deadline: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<job {self.job_id}: {self._hold.stage.value}>"

    @property
    def raw(self) -> Job:
        """The job as clients have it."""
        return self._hold.job

    @property
    def hold(self) -> Hold:
        """What becomes of it."""
        return self._hold

    @property
    def job_id(self) -> str:
        return self.raw.job_id

    @property
    def attempt(self) -> int:
        """Counts from 1."""
        return self.raw.attempt

    @property
    def max_attempts(self) -> int:
        return self.raw.max_attempts

    @property
    def created_at(self) -> int:
        """Milliseconds since the epoch."""
        return self.raw.created_at

    @property
    def priority(self) -> int:
        return self.raw.priority

    @property
    def cancelled(self) -> threading.Event:
        """Set when work on it is to end: the lease is lost, or the queue is being closed."""
        return self._hold.cancelled

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        self.enter(task)
        return self

    async def __aexit__(
        self,
        exc_type: object,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        interruption = self._interruption(exc)
        await self.end(interruption or exc)
        if interruption is not None:
            raise interruption from None

    def enter(self, task: asyncio.Task[object] | None) -> None:
        """Work on it begins, in ``task`` if that can be told when to end."""
        hold, timeout_ms = self._hold, self.raw.timeout_ms
        hold.enter(task)
        self._keeper.keep(hold)
        self._cancels = 0 if task is None else task.cancelling()
        if timeout_ms is not None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(timeout_ms / 1_000, self._expire, timeout_ms)

    async def end(self, error: BaseException | None) -> None:
        """Work on it has ended by this. Raises `LeaseLostError` when it was in vain."""
        hold = self._hold
        if self._deadline is not None:
            self._deadline.cancel()
        try:
            await self._report(error)
        except OsqueueError:
            self._keeper.drop(hold)  # its lease runs out, unless the loop gives it back
            hold.leave()
            raise
        finally:
            hold.exit()

    async def _report(self, error: BaseException | None) -> None:
        hold = self._hold
        if not hold.is_open:  # the body has reported it, or is told why not
            if error is None and hold.interruption is not None:
                raise hold.interruption
        elif error is None:
            await self._reports.complete(hold)
        elif isinstance(error, Exception):
            await self._reports.fail(hold, error)
        else:
            await self._reports.release(hold)

    def _expire(self, timeout_ms: int) -> None:
        """A body that cannot be cancelled is told, and has failed."""
        hold = self._hold
        over = TimeoutError(f"job {self.job_id} has taken longer than {timeout_ms} ms")
        hold.interrupt(over)
        if hold.task is None:
            self._reports.give_back([hold], over)

    def _interruption(self, exc: BaseException | None) -> Exception | None:
        """Why we have cancelled the task, if that is what it leaves by."""
        hold = self._hold
        task, hold.task = hold.task, None  # from here on it is told by what is raised
        if task is None or hold.interruption is None:
            return None
        ours = task.uncancel() <= self._cancels
        return hold.interruption if ours and isinstance(exc, asyncio.CancelledError) else None
