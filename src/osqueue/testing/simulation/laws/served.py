"""The time in which a broker could not serve, as seen from outside: it is no worker's silence.

Looks at the store that the broker uses, and at when its process stood still. What it counts is
never more than what the broker itself has to leave out: so a lease that was lost by less than its
time-out without it was lost too early.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Final

from osqueue.config import STATE_KEY
from osqueue.storage.protocol import Store, Stored, Version
from osqueue.testing.simulation.machine.process import SimulatedProcess

__all__ = ["Served", "WatchedStore"]

HANG_US: Final = 1_000_000
"""After so long without an answer a write counts as unresolved."""

UNNOTICED_US: Final = 4_100_000
"""So much of a pause may count as served: until the broker's next step was due, which is at most a
heartbeat's interval of 3 s, and a second by which any step may come late."""


class Served:
    """What the brokers of a world could not help, by the names of their processes."""

    def __init__(self) -> None:
        self._processes: dict[str, SimulatedProcess] = {}
        self._since_us: dict[str, int] = {}
        """Since when the last write of one is unresolved, if it is."""
        self._unresolved: dict[str, list[tuple[int, int]]] = {}

    def begins(self, process: SimulatedProcess) -> None:
        """A process opens the store."""
        self._processes[process.name] = process
        self._since_us.pop(process.name, None)

    def lives(self, life: str) -> bool:
        """Whether a life of a process goes on."""
        process = self._processes.get(life.rpartition(" ")[0])
        return process is not None and process.alive and process.life_name == life

    def unclear(self, name: str, since_us: int) -> None:
        """A write of the state object has not succeeded, as far as its writer knows."""
        self._since_us.setdefault(name, since_us)

    def clear(self, name: str, now_us: int) -> None:
        """It has, or its writer has seen what stands there."""
        since_us = self._since_us.pop(name, now_us)
        if since_us < now_us:
            self._unresolved.setdefault(name, []).append((since_us, now_us))

    def lost_us(self, name: str, from_us: int, to_us: int) -> int:
        """How much of a span one could not serve."""
        process = self._processes.get(name)
        pauses = [] if process is None else process.pauses(to_us)
        spans = [(since + UNNOTICED_US, until) for since, until in pauses]
        spans += self._unresolved.get(name, [])
        spans.append((self._since_us.get(name, to_us), to_us))
        return _length((max(from_us, since), min(to_us, until)) for since, until in spans)


class WatchedStore:
    """A process's store; notes when the state object could not be written."""

    def __init__(self, inner: Store, process: SimulatedProcess, served: Served) -> None:
        self.inner = inner
        self._process = process
        self._served = served
        served.begins(process)

    @property
    def url(self) -> str:
        return self.inner.url

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        stored = await self.inner.get(key, unless=unless)
        if key == STATE_KEY:
            self._served.clear(self._process.name, self._process.loop.now_us)
        return stored

    async def head(self, key: str) -> Version:
        return await self.inner.head(key)

    async def create(self, key: str, data: bytes) -> Version:
        return await self.inner.create(key, data)

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        if key != STATE_KEY:
            return await self.inner.put(key, data, if_version=if_version)
        name, loop = self._process.name, self._process.loop
        hung_us = loop.now_us + HANG_US
        try:
            version = await self.inner.put(key, data, if_version=if_version)
        except BaseException:
            self._served.unclear(name, min(hung_us, loop.now_us))
            raise
        self._served.unclear(name, min(hung_us, loop.now_us))
        self._served.clear(name, loop.now_us)
        return version

    async def delete(self, key: str) -> None:
        await self.inner.delete(key)

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        async for key in self.inner.list(prefix):
            yield key

    async def close(self) -> None:
        await self.inner.close()


def _length(spans: Iterable[tuple[int, int]]) -> int:
    """How long they are together: what is in two of them counts once."""
    length = end = 0
    for since, until in sorted(spans):
        length += max(0, until - max(end, since))
        end = max(end, until)
    return length
