"""A queue in memory that is served in a thread of its own, with a clock that can travel.

So it serves tests of every kind alike: plain ones, and those of any event loop, also of several.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from osqueue.broker.probe import probe_leader
from osqueue.client.loop_thread import LoopThread
from osqueue.clock import SystemEntropy
from osqueue.config import BrokerSettings
from osqueue.core import QueueCore
from osqueue.engine.observer import Observers, unheard
from osqueue.engine.requests import Landed
from osqueue.storage.memory import MemoryBackend
from osqueue.testing.crossing import CrossingTransport, Gate
from osqueue.testing.submitted import NotingTransport, Submissions
from osqueue.testing.travelling_clock import TravellingClock
from osqueue.wire.operations import GET_STATS, ReadQuery

__all__ = ["QueueThread"]

NO_PAUSE_MS = 2**53
"""A journey is not a pause of the process: leases see it."""

ANSWER_S = 10.0
"""In which a queue in memory answers, however busy the machine is."""


class QueueThread:
    """Starts at once, and serves until it is stopped."""

    def __init__(self, settings: BrokerSettings) -> None:
        settings.validate()
        self.clock = TravellingClock()
        self.submissions = Submissions()
        self._commits = _Commits()
        commit = replace(settings.commit, pause_ms_max=NO_PAUSE_MS)
        self._settings = replace(settings, commit=commit)
        self._thread = LoopThread()
        self._core: QueueCore | None = None
        self._gate: Gate | None = None
        try:
            self._thread.run(self._start)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Harmless at any time. Calls under way end with an error."""
        if self._gate is not None:
            self._gate.close()
        self._thread.stop(self._stop)

    def transport(self) -> CrossingTransport:
        """A way to the queue, from anywhere in this process."""
        assert self._core is not None and self._gate is not None, "it has started"  # noqa: PT018
        noting = NotingTransport(self._core.transport(), self.submissions, self.clock)
        return CrossingTransport(noting, self._gate)

    def travel(self, ms: int) -> None:
        """Let so much time pass, and return when all that was due by then has happened."""
        self._thread.run(lambda: self._travel(ms))

    @contextmanager
    def told_of_commits(self, tell: Callable[[], None]) -> Iterator[None]:
        """Inside, ``tell`` is called after each commit, in the thread of the queue."""
        self._commits.heard_by.add(tell)
        try:
            yield
        finally:
            self._commits.heard_by.discard(tell)

    async def _start(self) -> None:
        self._gate = Gate(asyncio.get_running_loop())
        self._core = QueueCore(
            MemoryBackend(),
            address="in-a-test:0",
            settings=self._settings,
            clock=self.clock,
            entropy=SystemEntropy(),
            probe=probe_leader,
            observers=Observers((self._commits,)),
        )
        await self._core.start()

    async def _stop(self) -> None:
        if self._core is not None:
            await self._core.stop()

    async def _travel(self, ms: int) -> None:
        """A lease expires a short while after it was first seen due, so there are two journeys."""
        for each in (ms, self._settings.commit.expiry_grace_ms):
            await self._put_on(each)
            await self._settle()

    async def _put_on(self, ms: int) -> None:
        """While nothing is written: a write that is under way would seem to have hung."""
        assert self._core is not None, "it has started"
        while self._core.engine.writing:  # noqa: ASYNC110 - in memory it takes a turn of the loop
            await asyncio.sleep(0)
        self.clock.travel(ms)

    async def _settle(self) -> None:
        """Wait until what has happened is durable."""
        assert self._core is not None, "it has started"
        await self._core.transport().call(GET_STATS, ReadQuery(consistent=True), timeout_s=ANSWER_S)


class _Commits:
    """An observer that hears of commits alone."""

    def __init__(self) -> None:
        self.heard_by: set[Callable[[], None]] = set()

    def committed(self, _: Landed) -> None:
        for tell in tuple(self.heard_by):
            tell()

    @unheard
    def store_called(self, kind: str, took_us: int, error: str | None) -> None: ...

    @unheard
    def role_changed(self, role: str, epoch: int) -> None: ...

    @unheard
    def answered(self, answered: object) -> None: ...

    @unheard
    def connected(self, transport: str) -> None: ...

    @unheard
    def disconnected(self, transport: str) -> None: ...
