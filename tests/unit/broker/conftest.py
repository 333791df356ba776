"""A service over a real engine on a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from osqueue.broker.service import QueueService
from osqueue.broker.waiting import WaitingClaims
from osqueue.clock import SystemClock, SystemEntropy
from osqueue.config import BrokerSettings, LeadershipSettings, StreamSettings
from osqueue.engine.election import ProbeAnswer
from osqueue.engine.engine import Engine
from osqueue.engine.intake import Intake
from osqueue.storage.memory import MemoryBackend
from osqueue.storage.protocol import Store

__all__ = ["Broker", "Lead", "eventually", "soon"]

T = TypeVar("T")
PATIENT = LeadershipSettings(heartbeat_interval_ms=20_000, heartbeat_timeout_ms=60_000)


async def soon(what: Awaitable[T]) -> T:
    """What must come by itself: a test that waits for ever has failed."""
    return await asyncio.wait_for(what, 10)


async def eventually(true: Callable[[], object]) -> None:
    """Let everything run until ``true()``; fails when it never is."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - looks at what has no event of its own
            await asyncio.sleep(0)


class Broker:
    """A broker without a port."""

    def __init__(self, engine: Engine, service: QueueService, store: Store) -> None:
        self.engine = engine
        self.service = service
        self.store = store

    @property
    def intake(self) -> Intake:
        """What the term under way applies requests to."""
        assert self.engine._term is not None
        return self.engine._term.committer._intake


Lead = Callable[..., Awaitable[Broker]]


async def _silent(_ask: object) -> ProbeAnswer:
    return ProbeAnswer.SILENT


@pytest.fixture
async def lead() -> AsyncIterator[Lead]:
    """Starts brokers, which end with the test."""
    made: list[Engine] = []

    async def start(
        store: Store | None = None, *, streams: StreamSettings | None = None, **settings: Any
    ) -> Broker:
        store = store or MemoryBackend()
        engine = Engine(
            store,
            "queue.json",
            address="me:1",
            settings=replace(BrokerSettings(leadership=PATIENT, drain_ms=2_000), **settings),
            clock=SystemClock(),
            entropy=SystemEntropy(),
            waiting=WaitingClaims,
            probe=_silent,
        )
        service = QueueService(engine, address="me:1", entropy=SystemEntropy(), streams=streams)
        made.append(engine)
        await soon(engine.start())
        return Broker(engine, service, store)

    yield start
    for engine in made:
        await soon(engine.stop())
