"""Calls from any event loop to a service that runs in another one, of the same process.

Laws: a call runs where the service is, and its answer comes where the caller waits; a caller that
goes away has its call cancelled; an answer that comes too late for it is not lost, but handed to
``unwanted``, where the service is; when the service ends, so do all calls.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from osqueue.client.transports.protocol import Answer, StreamingTransportAdapter
from osqueue.errors import OsqueueError, TransportConfigError
from osqueue.wire.messages import ClaimAnswer, ClaimRequest, ReleaseRequest
from osqueue.wire.operations import RELEASE, Operation

__all__ = ["CrossingTransport", "Gate"]

T = TypeVar("T")

RELEASE_S = 10.0
"""For giving a job back: as long as an answer may take."""


class Gate:
    """The way into a loop, for as long as it is open: what has entered is run."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._open = True

    def enter(self, call: Callable[[], object]) -> None:
        """Have something called in the loop. Raises `TransportConfigError` when it is closed."""
        with self._lock:
            if not self._open:
                raise _ended()
            self._loop.call_soon_threadsafe(call)

    def close(self) -> None:
        """Before the loop is stopped."""
        with self._lock:
            self._open = False


class CrossingTransport:
    """``inner``, which belongs to a loop behind ``gate``, for callers in any loop. It is not this
    one's to close. It may be used by any number of loops and threads at a time.
    """

    def __init__(self, inner: StreamingTransportAdapter, gate: Gate) -> None:
        self._inner = inner
        self._gate = gate
        self._closed = False

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        self._refuse_closed()

        async def unwanted(answer: Answer) -> None:
            await self._give_back(request, answer)

        work = self._inner.call(operation, request, job_id=job_id, timeout_s=timeout_s)
        return await _Across(self._gate, work, unwanted).arrived()

    async def stream(
        self, operation: Operation, request: msgspec.Struct, *, timeout_s: float
    ) -> AsyncGenerator[Any, None]:
        self._refuse_closed()
        pushed = self._inner.stream(operation, request, timeout_s=timeout_s)
        try:
            while each := await _Across(self._gate, _next(pushed), _forget).arrived():
                yield each[0]
        finally:
            with suppress(TransportConfigError):  # it has ended, with all its streams
                await _Across(self._gate, _close(pushed), _forget).arrived()

    async def reconnect(self) -> None:
        """There is no connection that could be dropped."""

    async def close(self) -> None:
        self._closed = True

    def _refuse_closed(self) -> None:
        if self._closed:
            raise TransportConfigError("this client is closed; make a new one")

    async def _give_back(self, request: msgspec.Struct | None, answer: Answer) -> None:
        """Release what a claim has brought for nobody."""
        if not (isinstance(answer.value, ClaimAnswer) and isinstance(request, ClaimRequest)):
            return
        for job in answer.value.jobs:
            release = ReleaseRequest(worker_id=request.worker_id, lease=job.lease)
            with suppress(OsqueueError):  # it is held no more
                await self._inner.call(RELEASE, release, job_id=job.job_id, timeout_s=RELEASE_S)


class _Across(Generic[T]):
    """One coroutine, there; and its outcome, here."""

    def __init__(
        self,
        gate: Gate,
        work: Coroutine[Any, Any, T],
        unwanted: Callable[[T], Coroutine[Any, Any, None]],
    ) -> None:
        self._gate = gate
        self._here = asyncio.get_running_loop()
        self._work = work
        self._unwanted = unwanted
        self._task: asyncio.Task[T] | None = None
        self._handing_over: asyncio.Task[None] | None = None
        self._outcome: asyncio.Future[T] = self._here.create_future()

    async def arrived(self) -> T:
        """What it returns or raises."""
        try:
            self._gate.enter(self._begin)
        except TransportConfigError:
            self._work.close()
            raise
        try:
            return await self._outcome
        except asyncio.CancelledError:
            if self._outcome.done() and not self._outcome.cancelled():
                self._refuse(self._outcome)
            with suppress(TransportConfigError):  # it has ended
                self._gate.enter(self._cancel)
            raise

    def _begin(self) -> None:
        """There."""
        self._task = asyncio.get_running_loop().create_task(self._work)
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[T]) -> None:
        """There."""
        try:
            self._here.call_soon_threadsafe(self._deliver, task)
        except RuntimeError:  # the loop of the caller is closed
            self._refuse(task)

    def _deliver(self, task: asyncio.Task[T]) -> None:
        """Here."""
        if self._outcome.done():
            self._refuse(task)
        elif task.cancelled():
            self._outcome.set_exception(_ended())
        elif (error := task.exception()) is not None:
            self._outcome.set_exception(error)
        else:
            self._outcome.set_result(task.result())

    def _refuse(self, outcome: asyncio.Future[T]) -> None:
        """Nobody waits for it any more."""
        if not outcome.cancelled() and outcome.exception() is None:
            with suppress(TransportConfigError):  # there is nobody to hand it to either
                self._gate.enter(partial(self._hand_over, outcome.result()))

    def _hand_over(self, answer: T) -> None:
        """There."""
        self._handing_over = asyncio.get_running_loop().create_task(self._unwanted(answer))

    def _cancel(self) -> None:
        """There."""
        assert self._task is not None, "it began before"
        self._task.cancel()


async def _next(pushed: AsyncGenerator[T, None]) -> tuple[T, ...]:
    """Nothing when there is no more."""
    async for each in pushed:
        return (each,)
    return ()


async def _close(pushed: AsyncGenerator[T, None]) -> None:
    await pushed.aclose()


async def _forget(_: object) -> None:
    """It has had no effect."""


def _ended() -> TransportConfigError:
    return TransportConfigError("the broker of this test has ended, and so has this client")
