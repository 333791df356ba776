"""The simulated object store: one truth, and the way that each process sees it.

The truth is atomic and loses nothing, as a real store's is. Everything else goes wrong: a request
or its reply is lost, a write is applied after its caller gave up, or twice; it is refused, busy,
failing or silent, or stands still with all calls in it. Whatever the caller was told,
`Bucket.on_write` hears what was written.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

import msgspec

from osqueue.errors import (
    CASConflictError,
    OsqueueError,
    StoreBusyError,
    StoreNotFoundError,
    StoreUnavailableError,
    StoreUnknownError,
)
from osqueue.storage.protocol import Stored, Version
from osqueue.testing.simulation.machine.dice import Dice
from osqueue.testing.simulation.machine.loop import SimulatedLoop
from osqueue.testing.simulation.machine.network import Network
from osqueue.testing.simulation.machine.process import SimulatedProcess

__all__ = [
    "BUCKET",
    "OLDER",
    "PERSON",
    "RESTORER",
    "Bucket",
    "SimulatedStore",
    "StoreServer",
    "StoreWeather",
    "Written",
]

BUCKET: Final = "bucket"
"""The store's name in the network."""

PERSON: Final = "person"
"""Who edits an object by hand, in what is told of its writes."""

OLDER: Final = "older"
"""The same of an older implementation, which writes without epochs."""

RESTORER: Final = "restorer"
"""The same of a person who puts a copy back."""

PATIENCE_S: Final = 5.0
"""How long a store's client waits for an answer."""

LATENCY_S: Final = 0.008
"""About what a call takes in the store."""

SLOW_S: Final = 1.5
"""About what it takes while the store is slow."""

QUEUE_S: Final = 0.001
"""About what each call takes of those that have waited while the store stood still."""

LATE_S: Final = 20.0
"""About how late a late write is; now and then it is minutes."""


class Written(msgspec.Struct, frozen=True):
    """One write that took effect."""

    at_us: int
    by: str
    key: str
    data: bytes
    life: str = ""
    """Which life of whoever wrote it that was."""


class StoreWeather(msgspec.Struct):
    """How the store is. Shares are of all calls, or of all writes where only these can."""

    request_lost: float = 0.0
    reply_lost: float = 0.0
    late: float = 0.0
    doubled: float = 0.0
    conflict: float = 0.0
    """HTTP 409: somebody else is at it, or not."""
    busy: float = 0.0
    failing: float = 0.0
    """HTTP 500: applied, or not."""
    slow: float = 0.0
    silent: float = 0.0
    """Applied or not, and never answered."""
    down: float = 0.0
    stalled: float = 0.0
    """Whether it stands still: calls wait, in order."""


class Bucket:
    """The truth. Its calls are atomic: each is one step of the world."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self._objects: dict[str, Stored] = {}
        self.on_write: Callable[[Written], None] | None = None
        """Is told of each write that took effect."""
        self.on_delete: Callable[[str], None] | None = None
        """Is told of each object that was deleted."""
        self.on_read: Callable[[str, str], None] | None = None
        """Is told of each read: in which life of a process, and of which key."""

    def look(self, key: str) -> Stored | None:
        """An object as it is."""
        return self._objects.get(key)

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self._objects if key.startswith(prefix))

    def get(self, key: str, unless: Version | None, life: str = "") -> Stored | None:
        stored = self._existing(key)
        if self.on_read is not None:
            self.on_read(life, key)
        return None if stored.version == unless else stored

    def head(self, key: str) -> Version:
        return self._existing(key).version

    def write(
        self, key: str, data: bytes, if_version: Version | None, by: str, life: str = ""
    ) -> Version:
        """Replace an object at a version, or create one."""
        before = self._objects.get(key)
        if before is None and if_version is not None:
            raise StoreNotFoundError(f"there is no {key!r}")
        if (None if before is None else before.version) != if_version:
            raise CASConflictError(f"{key!r} is at another version")
        version = Version(f"v{self._loop.number()}")
        self._objects[key] = Stored(data, version)
        written = Written(self._loop.now_us, by, key, data, life)
        if self.on_write is not None:
            self.on_write(written)
        return version

    def delete(self, key: str) -> None:
        self._objects.pop(key, None)
        if self.on_delete is not None:
            self.on_delete(key)

    def _existing(self, key: str) -> Stored:
        stored = self._objects.get(key)
        if stored is None:
            raise StoreNotFoundError(f"there is no {key!r}")
        return stored


class StoreServer:
    """The bucket behind its network and its weather."""

    def __init__(self, loop: SimulatedLoop, dice: Dice, network: Network, bucket: Bucket) -> None:
        self.loop = loop
        self.dice = dice
        self.network = network
        self.bucket = bucket
        self.weather = StoreWeather()
        self.happened: Counter[str] = Counter()
        self._pace = dice.fork("stall")
        self._waiting: deque[Callable[[], object]] = deque()

    def carry_out(self, call: Callable[[], object]) -> None:
        """A call has come: its turn is now, or when the store goes on."""
        if self.weather.stalled > 0 or self._waiting:
            self.happened["call while the store stood still"] += 1
            self._waiting.append(call)
        else:
            call()

    def go_on(self) -> None:
        """The store stands still no more: what has waited is carried out, one after another."""
        if self.weather.stalled > 0 or not self._waiting:
            return
        self._waiting.popleft()()
        self.loop.outside(self.go_on, after_s=self._pace.about(QUEUE_S))


class SimulatedStore:
    """A process's client of the store; keeps the contract of `osqueue.storage.protocol.Store`."""

    def __init__(self, server: StoreServer, process: SimulatedProcess) -> None:
        self._server = server
        self._process = process

    @property
    def url(self) -> str:
        return "simulated://bucket"

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        bucket, life = self._server.bucket, self._process.life_name
        stored: Stored | None = await self._call(lambda: bucket.get(key, unless, life))
        return stored

    async def head(self, key: str) -> Version:
        version: Version = await self._call(lambda: self._server.bucket.head(key))
        return version

    async def create(self, key: str, data: bytes) -> Version:
        return await self._written(key, data, None)

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        return await self._written(key, data, if_version)

    async def delete(self, key: str) -> None:
        await self._call(lambda: self._server.bucket.delete(key), writes=True)

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        for key in await self._call(lambda: self._server.bucket.keys(prefix)):
            yield key

    async def close(self) -> None:
        """There is nothing to give back."""

    async def _written(self, key: str, data: bytes, if_version: Version | None) -> Version:
        name, life, bucket = self._process.name, self._process.life_name, self._server.bucket
        version: Version = await self._call(
            lambda: bucket.write(key, data, if_version, name, life), writes=True
        )
        return version

    async def _call(self, work: Callable[[], Any], *, writes: bool = False) -> Any:
        """Raises `StoreUnknownError` of a write, `StoreUnavailableError` of a read that got no
        answer in time.
        """
        call = _Call(self._server, self._process, work, writes=writes)
        call.send()
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await call.answer
        except TimeoutError as error:
            message = f"the store did not answer within {PATIENCE_S} s"
            raise (StoreUnknownError if writes else StoreUnavailableError)(message) from error


class _Call:
    """One call on its way there and back."""

    def __init__(
        self,
        server: StoreServer,
        process: SimulatedProcess,
        work: Callable[[], Any],
        *,
        writes: bool,
    ) -> None:
        self._server = server
        self._place = process.name
        self._life = process.life
        self._work = work
        self._writes = writes
        self.answer: asyncio.Future[Any] = server.loop.create_future()

    def send(self) -> None:
        weather, dice = self._server.weather, self._server.dice
        if self._befalls("request lost in the store", weather.request_lost):
            return
        if self._writes and self._befalls("write late", weather.late):
            late = partial(self._server.carry_out, self._apply_unseen)
            self._server.loop.outside(late, after_s=dice.about(LATE_S))
            return
        self._server.network.send(self._place, BUCKET, self._arrive, once=True)
        if self._writes and self._befalls("write doubled", weather.doubled):
            self._server.network.send(self._place, BUCKET, self._arrive, once=True)

    def _arrive(self) -> None:
        weather, dice = self._server.weather, self._server.dice
        slow = self._befalls("store slow", weather.slow)
        after_s = dice.about(SLOW_S if slow else LATENCY_S)
        apply = partial(self._server.carry_out, self._apply)
        self._server.loop.outside(apply, after_s=after_s)

    def _apply(self) -> None:
        weather = self._server.weather
        if weather.down > 0:
            self._server.happened["call while the store is down"] += 1
            self._reply(StoreUnavailableError("HTTP 503: the store is down"))
        elif self._befalls("store silent", weather.silent):
            if self._server.dice.chance(0.5):
                self._apply_unseen()
        elif self._befalls("store busy", weather.busy):
            self._reply(StoreBusyError("HTTP 429: slow down"))
        elif self._writes and self._befalls("409 of the store", weather.conflict):
            self._reply(StoreUnknownError("HTTP 409: a conflicting operation is under way"))
        elif self._befalls("500 of the store", weather.failing):
            self._fail()
        else:
            answer = self._done()
            if not self._befalls("reply lost in the store", weather.reply_lost):
                self._reply(answer)

    def _fail(self) -> None:
        """An error that says nothing of what was done."""
        if not self._writes:
            self._reply(StoreUnavailableError("HTTP 500"))
            return
        if self._server.dice.chance(0.5):
            self._apply_unseen()
        self._reply(StoreUnknownError("HTTP 500"))

    def _apply_unseen(self) -> None:
        self._done()

    def _done(self) -> Any:
        try:
            return self._work()
        except OsqueueError as error:
            return error

    def _reply(self, answer: Any) -> None:
        self._server.network.send(
            BUCKET, self._place, lambda: self._resolve(answer), life=self._life, once=True
        )

    def _resolve(self, answer: Any) -> None:
        if self.answer.done():
            return
        if isinstance(answer, OsqueueError):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)

    def _befalls(self, fault: str, share: float) -> bool:
        befalls = self._server.dice.chance(share)
        self._server.happened[fault] += befalls
        return befalls
