"""Calls that wait for a job's end: told when it has come, and none of them is asked for meanwhile.

Laws: what a call is answered is durable, as of any look at a job; a job that has ended, or died, by
the time its end is awaited is shown at once; whoever goes away is forgotten, and when the broker
leads no more, everybody is told so at once. The state notes which of the awaited jobs have ended
when that is applied, durable or not; whoever waits then looks at the job as anybody does, and that
is answered when all it saw is durable. So an end that did not come to pass harms nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from osqueue.broker.engines import QueueEngine
from osqueue.config import StreamSettings
from osqueue.engine.callers import Caller, CallerGoneError
from osqueue.engine.refusals import over_error
from osqueue.engine.requests import End, Held, JobsOver
from osqueue.errors import OsqueueError, OverloadedError, for_one
from osqueue.model.job import JobStatus
from osqueue.model.ops import GetJob
from osqueue.model.outcomes import JobView

__all__ = ["EndWaits"]

LOOKS_MAX: Final = 64
"""How many look again at once: thousands of jobs can end by one commit, and others want to ask."""

_GOING_ON: Final = frozenset({JobStatus.UNCLAIMED, JobStatus.IN_PROGRESS})


class EndWaits:
    """All who wait for an end at one engine, of which it is part of the `Listener`."""

    def __init__(self, engine: QueueEngine, settings: StreamSettings) -> None:
        self._engine = engine
        self._max = settings.end_waits_max
        self._waiting: dict[str, dict[_Waiter, None]] = {}
        self._number = 0
        self._looks = asyncio.Semaphore(LOOKS_MAX)

    def __len__(self) -> int:
        """How many wait."""
        return self._number

    async def wait(
        self, job_id: str, *, wait_ms: int, consistent: bool = False, caller: Caller | None = None
    ) -> Held:
        """A look at a job when it is over, or as it is after ``wait_ms``.

        Raises `OverloadedError` when too many wait, what the engine refuses with, and
        `CallerGoneError` when ``caller`` has left.
        """
        until = asyncio.get_running_loop().time() + wait_ms / 1_000
        with self._waiter(job_id, caller) as waiter:
            held = await self._engine.ask(GetJob(job_id), consistent=consistent)
            while not _is_over(held) and await waiter.woken(until):
                async with self._looks:
                    held = await self._engine.ask(GetJob(job_id))
        return held if _is_over(held) else await self._engine.ask(GetJob(job_id))

    # As the engine tells it

    def jobs_over(self, over: JobsOver) -> None:
        """These jobs have ended, or died."""
        for job_id in over.ids:
            for waiter in self._waiting.get(job_id, ()):
                waiter.wake()

    def over(self, end: End) -> None:
        """The broker leads no more, for now."""
        error = over_error(end)
        for waiters in self._waiting.values():
            for waiter in waiters:
                waiter.wake(error)

    @contextmanager
    def _waiter(self, job_id: str, caller: Caller | None) -> Iterator[_Waiter]:
        """One who waits, from before the first look on: no end comes between."""
        if self._number >= self._max:
            raise OverloadedError("too many calls wait for the end of a job; try again later")
        waiter = _Waiter(caller)
        self._number += 1
        self._waiting.setdefault(job_id, {})[waiter] = None
        self._engine.awaited.add(job_id)
        self._engine.await_ends()
        try:
            yield waiter
        finally:
            self._forget(job_id, waiter)

    def _forget(self, job_id: str, waiter: _Waiter) -> None:
        self._number -= 1
        waiters = self._waiting[job_id]
        del waiters[waiter]
        if not waiters:
            del self._waiting[job_id]
            self._engine.awaited.discard(job_id)


class _Waiter:
    """One call. ``caller``: who may leave meanwhile."""

    __slots__ = ("_caller", "_error", "_ticket")

    def __init__(self, caller: Caller | None) -> None:
        self._caller = caller
        self._error: OsqueueError | None = None
        self._ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(self, error: OsqueueError | None = None) -> None:
        """It is worth looking again, or there is nobody to ask any more."""
        self._error = self._error or error
        if not self._ticket.done():
            self._ticket.set_result(None)

    async def woken(self, until: float) -> bool:
        """Whether it is worth looking again before then. Raises what it was woken with."""
        self._attend()
        try:
            async with asyncio.timeout_at(until):
                await self._ticket
        except TimeoutError:
            return False
        except asyncio.CancelledError:
            self._attend()
            raise
        self._ticket = asyncio.get_running_loop().create_future()
        if self._error is not None:
            raise for_one(self._error)
        return True

    def _attend(self) -> None:
        """Let the caller be able to end this. Raises `CallerGoneError` if it has left."""
        if self._caller is not None:
            if self._caller.gone:
                raise CallerGoneError
            self._caller.ticket = self._ticket


def _is_over(held: Held) -> bool:
    return not isinstance(held.outcome, JobView) or held.outcome.status not in _GOING_ON
