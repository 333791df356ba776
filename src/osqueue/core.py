"""A queue under leadership in this process: store, election, engine, archive, service.

A broker (`osqueue.app`) puts ports on it; an embedded queue (`osqueue.embedded`) is this alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from osqueue.broker.dispatch import BROKER_HANDLERS
from osqueue.broker.fitting import fitted, in_one_line, throttled
from osqueue.broker.service import QueueService
from osqueue.broker.timetable import CronTimetable
from osqueue.broker.waiting import WaitingClaims
from osqueue.clock import Clock, Entropy, precise_us
from osqueue.config import STATE_KEY, BrokerSettings
from osqueue.engine.archive import Archive
from osqueue.engine.archiver import Archiver
from osqueue.engine.engine import Engine
from osqueue.engine.leadership import Probe
from osqueue.engine.observed_store import ObservedStore
from osqueue.engine.observer import Observers
from osqueue.errors import StoreNotFoundError
from osqueue.inprocess import InProcessTransport
from osqueue.storage.probe import probe_store
from osqueue.storage.protocol import Store

__all__ = ["QueueCore"]

logger = logging.getLogger("osqueue.broker")


class QueueCore:
    """One process's part in a queue that is led. ``store`` is not closed here.

    ``address`` is where others dial it, or are told that they cannot; ``probe`` asks other leaders;
    ``on_leading`` is called whenever this process has become the leader; ``ticks`` tells
    microseconds, for measuring how long the store takes.
    """

    def __init__(  # noqa: PLR0913 - each by its name, and two may be left out
        self,
        store: Store,
        *,
        address: str,
        settings: BrokerSettings,
        clock: Clock,
        entropy: Entropy,
        probe: Probe,
        observers: Observers,
        on_leading: Callable[[], None] | None = None,
        ticks: Callable[[], int] | None = None,
    ) -> None:
        self._bare = store
        self._clock = clock
        self._entropy = entropy
        self._on_leading = on_leading
        self.settings = fitted(settings, store)
        """As they hold for this store."""
        watched = ObservedStore(store, observers, ticks=ticks or precise_us)
        self.store = throttled(watched, self.settings, clock=clock)
        """The store as the settings let it be asked."""
        self.engine = Engine(
            self.store,
            STATE_KEY,
            address=address,
            settings=self.settings,
            clock=clock,
            entropy=entropy,
            waiting=WaitingClaims,
            probe=probe,
        )
        self.engine.timetable = CronTimetable()
        self.engine.observer = observers
        self.service = self._new_service(address)

    async def start(self, *, probe: bool = True) -> None:
        """Take the queue, or stand by; see `Engine.start`.

        The store is tried first (`osqueue.storage.probe`); without ``probe``, only where there is
        no queue yet. Raises `UnsupportedStoreError` when it fails.
        """
        if probe or not await self._has_begun():
            report = await probe_store(self._bare, clock=self._clock, entropy=self._entropy)
            logger.info("%s", in_one_line(report))
        await self.engine.start()

    async def stop(self) -> None:
        """Commit what is pending, and give leadership back."""
        await self.engine.stop()

    def transport(self) -> InProcessTransport:
        """A way to the service for clients in this loop."""
        return InProcessTransport(self.service, self.settings.server, handlers=BROKER_HANDLERS)

    def _new_service(self, address: str) -> QueueService:
        archive = Archive(self.store)
        self.engine.duties = (self._tell_leading, lambda: self._archiver(archive).run())
        return QueueService(
            self.engine,
            archive if self.settings.limits.archived else None,
            address=address,
            entropy=self._entropy,
            clock=self._clock,
            streams=self.settings.streams,
        )

    def _archiver(self, archive: Archive) -> Archiver:
        return Archiver(
            self.engine,
            archive,
            self.store,
            settings=self.settings.archive,
            clock=self._clock,
            entropy=self._entropy,
        )

    async def _tell_leading(self) -> None:
        if self._on_leading is not None:
            self._on_leading()

    async def _has_begun(self) -> bool:
        try:
            await self._bare.head(STATE_KEY)
        except StoreNotFoundError:
            return False
        return True
