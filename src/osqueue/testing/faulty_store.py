"""A store that fails as it is told: the faults of a network, one call at a time.

What becomes of a call is told by a script, by a seed, or by both::

    store = ScriptedStore(MemoryBackend(), [
        Step("put", Fault.LOST_REPLY),            # applied, but the caller is told "unknown"
        Step("get", Fault.UNAVAILABLE),           # then a read that does not get through
        Step("put", Fault.LATE_WRITE, after=2),   # applied after two more calls have ended
        Step("put", hold="request"),              # waits until the test calls `release`
    ])
    store = FaultyStore(MemoryBackend(), RandomFaults(seed=7, rates={Fault.LOST_REPLY: 0.05}))

Everything that happened stands in `log`, in the order in which it ended. The wrapped store is the
truth: look there for what was really written.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import TypeVar

import msgspec

from osqueue.errors import (
    CASConflictError,
    OsqueueError,
    StoreBusyError,
    StoreDeniedError,
    StoreNotFoundError,
    StoreUnavailableError,
    StoreUnknownError,
)
from osqueue.storage.protocol import Store, Stored, Version
from osqueue.testing.faults import Call, Fault, FaultSource, Script, Step

__all__ = ["Call", "Fault", "FaultyStore", "Happened", "ScriptedStore", "Step"]

T = TypeVar("T")


class Happened(msgspec.Struct, frozen=True):
    """One call that ended, or one late write that landed."""

    call: Call
    key: str
    outcome: str
    """``ok``, or the name of the error's class."""
    fault: Fault = Fault.NONE
    late: bool = False
    """Whether this is a late write's landing; the call itself has an entry of its own."""


class FaultyStore:
    """Wraps any store. ``faults`` tells what becomes of each call; assign another at any time."""

    def __init__(self, inner: Store, faults: FaultSource) -> None:
        self.inner = inner
        self.faults = faults
        self.log: list[Happened] = []
        self._late: list[_Late] = []
        self._gates: deque[asyncio.Event] = deque()
        self._holding = asyncio.Event()

    @property
    def url(self) -> str:
        return self.inner.url

    async def held(self) -> None:
        """Return when a call is being held."""
        await self._holding.wait()

    def release(self) -> None:
        """Let the call go on that has been held the longest."""
        self._gates[0].set()
        self._forget(self._gates[0])

    async def land(self) -> int:
        """Let every waiting late write reach the store; how many of them took effect."""
        late, self._late = self._late, []
        return sum([await self._land(write) for write in late])

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        return await self._call("get", key, partial(self.inner.get, key, unless=unless))

    async def head(self, key: str) -> Version:
        return await self._call("head", key, partial(self.inner.head, key))

    async def create(self, key: str, data: bytes) -> Version:
        return await self._call("create", key, partial(self.inner.create, key, data))

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        work = partial(self.inner.put, key, data, if_version=if_version)
        return await self._call("put", key, work)

    async def delete(self, key: str) -> None:
        await self._call("delete", key, partial(self.inner.delete, key))

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        for key in await self._call("list", prefix, partial(_keys, self.inner, prefix)):
            yield key

    async def close(self) -> None:
        await self.inner.close()

    async def _call(self, call: Call, key: str, work: Callable[[], Awaitable[T]]) -> T:
        step = self.faults.step(call, key)
        due = list(self._late)
        happened = Happened(call, key, "cancelled", step.fault)
        try:
            answer = await self._carried_out(step, key, work)
            happened = msgspec.structs.replace(happened, outcome="ok")
        except OsqueueError as error:
            happened = msgspec.structs.replace(happened, outcome=type(error).__name__)
            raise
        finally:
            self.log.append(happened)
            await self._count_down(due)
        return answer

    async def _carried_out(self, step: Step, key: str, work: Callable[[], Awaitable[T]]) -> T:
        if step.hold == "request":
            await self._hold()
        answer = await self._outcome(step, key, work)
        await _delay(step)
        if step.hold == "reply":
            await self._hold()
        if isinstance(answer, OsqueueError):
            raise answer
        return answer

    async def _outcome(
        self, step: Step, key: str, work: Callable[[], Awaitable[T]]
    ) -> T | OsqueueError:
        if step.fault in _ANSWERED:
            return await _tried(work)
        if step.fault is Fault.TRUNCATED:
            return _truncated(await _tried(work))
        if step.fault in {Fault.LOST_REPLY, Fault.FALSE_CONFLICT}:
            await _tried(work)
        if step.fault is Fault.LATE_WRITE:
            self._late.append(_Late(step, key, work))
        return _injected_error(step, key)

    async def _hold(self) -> None:
        gate = asyncio.Event()
        self._gates.append(gate)
        self._holding.set()
        try:
            await gate.wait()
        finally:
            self._forget(gate)

    def _forget(self, gate: asyncio.Event) -> None:
        with suppress(ValueError):
            self._gates.remove(gate)
        if not self._gates:
            self._holding.clear()

    async def _count_down(self, due: Iterable[_Late]) -> None:
        for write in due:
            write.calls_ended += 1
            if write.calls_ended == write.step.after and write in self._late:
                self._late.remove(write)
                await self._land(write)

    async def _land(self, write: _Late) -> bool:
        answer = await _tried(write.work)
        landed = not isinstance(answer, OsqueueError)
        outcome = "ok" if landed else type(answer).__name__
        self.log.append(
            Happened(write.step.on, write.key, outcome, fault=write.step.fault, late=True)
        )
        return landed


class ScriptedStore(FaultyStore):
    """A faulty store with a script of its own; calls that it leaves out pass unchanged."""

    def __init__(self, inner: Store, script: Iterable[Step] = ()) -> None:
        self._script = Script(script)
        super().__init__(inner, self._script)

    @property
    def unused(self) -> tuple[Step, ...]:
        """The steps that still wait for their call."""
        return self._script.unused

    def then(self, *steps: Step) -> None:
        """Add to the end of the script."""
        self._script.then(*steps)


class _Late:
    """A write on its way."""

    def __init__(self, step: Step, key: str, work: Callable[[], Awaitable[object]]) -> None:
        self.step = step
        self.key = key
        self.work = work
        self.calls_ended = 0


async def _tried(work: Callable[[], Awaitable[T]]) -> T | OsqueueError:
    try:
        return await work()
    except OsqueueError as error:
        return error


def _truncated(answer: T) -> T:
    if isinstance(answer, Stored):
        return msgspec.structs.replace(answer, data=answer.data[: len(answer.data) // 2])
    return answer


async def _delay(step: Step) -> None:
    if step.delay_s:
        await asyncio.sleep(step.delay_s)
    if step.fault is Fault.HANGING:
        await asyncio.Event().wait()


async def _keys(store: Store, prefix: str) -> list[str]:
    return [key async for key in store.list(prefix)]


def _injected_error(step: Step, key: str) -> OsqueueError:
    kind = _ERRORS[step.fault]
    if step.on in {"get", "head", "list"} and kind is StoreUnknownError:
        kind = StoreUnavailableError
    return kind(f"the faulty store answers the {step.on} of {key!r} so: {step.fault}")


_ANSWERED = frozenset({Fault.NONE, Fault.SLOW, Fault.HANGING})

_ERRORS = MappingProxyType[Fault, type[OsqueueError]](
    {
        Fault.LOST_REQUEST: StoreUnknownError,
        Fault.LOST_REPLY: StoreUnknownError,
        Fault.LATE_WRITE: StoreUnknownError,
        Fault.FALSE_CONFLICT: CASConflictError,
        Fault.CONFLICT: CASConflictError,
        Fault.BUSY: StoreBusyError,
        Fault.UNAVAILABLE: StoreUnavailableError,
        Fault.DENIED: StoreDeniedError,
        Fault.NOT_FOUND: StoreNotFoundError,
    }
)
