"""Jobs one after another, each ended by what becomes of the loop that it was handed to.

Laws: a loop holds at most ``concurrency`` jobs; what it holds is kept by heartbeats; when the loop
is left, in whatever way, each of its jobs is reported or given back, once.

With a concurrency of 1, asking for the next job completes the one before, in the same commit that
claims the next. With more, jobs are worked on side by side and asking says nothing about any: each
is ended by its own ``async with job``, also after the loop; one that nobody has any more is given
back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Generic, Self, TypeVar

from osqueue.embedded.handout import Handout, Holder, holder_now
from osqueue.embedded.hold import Hold
from osqueue.embedded.job import QueueJob
from osqueue.embedded.source import Source
from osqueue.errors import ConfigError, JobNotFoundError, LeaseLostError

__all__ = ["Consumer"]

T = TypeVar("T")


class Consumer(AsyncIterator[QueueJob[T]], Generic[T]):
    """The jobs of a queue, for one ``async for``; see `Queue.consume`."""

    def __init__(self, source: Source[T], concurrency: int, holder: Holder | None = None) -> None:
        self._source = source
        self._fixed_holder = holder
        self._handout: Handout[T] = Handout(concurrency)
        self._busy = self._over = False
        source.begin(self._handout)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> QueueJob[T]:
        if self._busy:
            raise ConfigError("a consumer is for one loop: call consume() for each")
        if self._over or self._source.closed:
            raise StopAsyncIteration
        self._handout.holder = self._fixed_holder or holder_now()
        self._busy = True
        try:
            await self._make_ready()
        finally:
            self._busy = False
        job = self._handout.next()
        if self._handout.most > 1:
            self._source.watch(job)
        return job

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: object,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.end(exc)

    def __del__(self) -> None:
        if not self._over:
            self._source.drop(self._handout)

    async def aclose(self) -> None:
        """End the loop: what it holds is given back."""
        await self.end(None)

    async def end(self, error: BaseException | None) -> None:
        """End the loop, which was left by this."""
        self._over = True
        self._source.end(self._handout, error)
        await self._source.reports.settle()

    async def _make_ready(self) -> None:
        """Have a job ready. Raises `StopAsyncIteration` when the queue is closed meanwhile."""
        last = self._take_last()
        completing = None if last is None else self._source.reports.completing(last)
        await self._has_room()
        if self._handout.ready:
            return
        if self._source.closed:  # while there was no room
            raise StopAsyncIteration
        claiming = self._source.claiming(self._handout)
        try:
            if completing is not None:
                await _completed(completing)
            await asyncio.wait({claiming})
        except BaseException:
            if last is not None and not last.is_over:
                self._handout.holds.append(last)
            await self._give_up(claiming)
            raise
        if claiming.cancelled():
            raise StopAsyncIteration
        self._handout.ready += claiming.result()

    def _take_last(self) -> Hold | None:
        """The job before, if asking for the next one completes it."""
        handout = self._handout
        handout.clear_up(self._source.reports)
        if handout.most > 1 or not handout.holds:
            return None
        (last,) = handout.holds
        if last.entered or not last.is_open:  # whoever is inside, or has begun to, reports it
            return None
        handout.holds.clear()
        return last

    async def _has_room(self) -> None:
        """Wait until one more job may be held."""
        handout = self._handout
        while not (handout.ready or handout.free):
            handout.changed.clear()
            await handout.changed.wait()
            handout.clear_up(self._source.reports)

    async def _give_up(self, claiming: asyncio.Task[list[QueueJob[T]]]) -> None:
        """Give up a claim; what it brings all the same is given back."""
        claiming.cancel()
        await asyncio.wait({claiming})
        if not claiming.cancelled() and claiming.exception() is None:
            self._source.reports.give_back([job.hold for job in claiming.result()])


async def _completed(completing: asyncio.Task[None]) -> None:
    """A lease that was lost was told of already, and the loop goes on."""
    with suppress(LeaseLostError, JobNotFoundError):
        await asyncio.shield(completing)
