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
from osqueue.errors import EngineStateError
from osqueue.storage.memory import MemoryBackend
from osqueue.testing.crossing import CrossingTransport
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
        self._loop: asyncio.AbstractEventLoop | None = None
        try:
            self._thread.run(self._start)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Harmless at any time. Calls under way end with an error."""
        self._thread.stop(self._stop)

    def transport(self) -> CrossingTransport:
        """A way to the queue, from anywhere in this process."""
        core, loop = self._started()
        noting = NotingTransport(core.transport(), self.submissions, self.clock)
        return CrossingTransport(noting, loop)

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
        self._loop = asyncio.get_running_loop()
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
        """Nothing is being written when the clock is put on: a write would seem to have hung.

        A lease expires a short while after it was first seen due, so there are two journeys.
        """
        await self._settle()
        self.clock.travel(ms)
        await self._settle()
        self.clock.travel(self._settings.commit.expiry_grace_ms)
        await self._settle()

    async def _settle(self) -> None:
        """Wait until what has happened is durable."""
        core, _ = self._started()
        await core.transport().call(GET_STATS, ReadQuery(consistent=True), timeout_s=ANSWER_S)

    def _started(self) -> tuple[QueueCore, asyncio.AbstractEventLoop]:
        if self._core is None or self._loop is None or self._loop.is_closed():
            raise EngineStateError("the broker of this test does not run: use it inside of `with`")
        return self._core, self._loop


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
