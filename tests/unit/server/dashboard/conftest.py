"""Brokers without ports, whose overviews are watched: real engines on a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from osqueue.clock import SystemEntropy
from osqueue.config import BrokerSettings, LeadershipSettings
from osqueue.core import QueueCore
from osqueue.engine.election import ProbeAnswer
from osqueue.engine.observer import Observers
from osqueue.model.state import QueueState
from osqueue.server.dashboard.live import Live, Place
from osqueue.storage.memory import MemoryBackend
from osqueue.storage.protocol import Store
from osqueue.testing.travelling_clock import TravellingClock

__all__ = ["Broker", "Lead", "soon"]

T = TypeVar("T")
PATIENT = LeadershipSettings(heartbeat_interval_ms=20_000, heartbeat_timeout_ms=60_000)


async def soon(what: Awaitable[T]) -> T:
    """What must come by itself: a test that waits for ever has failed."""
    return await asyncio.wait_for(what, 10)


class Broker:
    """A broker without a port, and the overview of it."""

    def __init__(self, store: Store, settings: BrokerSettings) -> None:
        self.clock = TravellingClock()
        self.live = Live(self.clock, SystemEntropy())
        self.core = QueueCore(
            store,
            address="me:1",
            settings=settings,
            clock=self.clock,
            entropy=SystemEntropy(),
            probe=_silent,
            observers=Observers((self.live,)),
        )
        self.engine, self.service = self.core.engine, self.core.service
        self.place = Place(self.engine, self.service.streams, store.url, list, self.service.workers)
        self.live.settle(self.place)
        self.service.overviews = self.live

    @property
    def state(self) -> QueueState:
        """What the term under way works on."""
        assert self.engine._term is not None
        return self.engine._term.committer._intake.state

    @property
    def records(self) -> bool:
        """Whether events are recorded."""
        return self.state.events is not None

    async def stop(self) -> None:
        await self.core.stop()
        await self.live.stop()


async def _silent(_ask: object) -> ProbeAnswer:
    return ProbeAnswer.SILENT


Lead = Callable[..., Awaitable[Broker]]


@pytest.fixture
async def lead() -> AsyncIterator[Lead]:
    """Starts brokers, which end with the test."""
    made: list[Broker] = []

    async def start(store: Store | None = None, **settings: Any) -> Broker:
        whole = replace(BrokerSettings(leadership=PATIENT, drain_ms=2_000), **settings)
        made.append(Broker(store or MemoryBackend(), whole))
        await soon(made[-1].core.start(probe=False))
        return made[-1]

    yield start
    for broker in made:
        await soon(broker.stop())
