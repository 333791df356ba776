"""Engines on one store, started and stopped by a test; and the traces of the pure committer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from osqueue.broker.waiting import WaitingClaims
from osqueue.clock import Clock, SystemClock, SystemEntropy
from osqueue.config import BrokerSettings, CommitSettings, LeadershipSettings, QueueLimits
from osqueue.engine.callers import Caller
from osqueue.engine.election import Ask, ProbeAnswer
from osqueue.engine.engine import Engine
from osqueue.model.ops import Claim, NewJob, Submit
from osqueue.model.outcomes import Claimed
from osqueue.storage.protocol import Store

from ...traces.conftest import Start
from ...traces.harness import Trace

__all__ = ["KEY", "Brokers", "Start", "claimed", "soon"]

T = TypeVar("T")

KEY = "queue.json"
PATIENT = LeadershipSettings(heartbeat_interval_ms=20_000, heartbeat_timeout_ms=60_000)
"""So that no heartbeat comes in between what a test does."""


async def soon(what: Awaitable[T]) -> T:
    """What must come by itself: a test that waits for ever has failed."""
    return await asyncio.wait_for(what, 10)


async def claimed(engine: Engine, worker: str = "w", **fields: Any) -> tuple[str, ...]:
    """The jobs that a claim without waiting gets."""
    held = await soon(engine.claim(Claim(worker, f"s{id(fields)}"), wait_ms=0, caller=Caller()))
    assert isinstance(held.outcome, Claimed)
    return tuple(grant.id for grant in held.outcome.grants)


class Brokers:
    """Makes engines; all that a test has started is stopped at its end."""

    def __init__(self) -> None:
        self.made: list[Engine] = []

    def make(
        self,
        store: Store,
        *,
        address: str = "me:1",
        probe: ProbeAnswer | Callable[[Ask], Awaitable[ProbeAnswer]] = ProbeAnswer.SILENT,
        clock: Clock | None = None,
        **settings: Any,
    ) -> Engine:
        async def answer(_ask: Ask) -> ProbeAnswer:
            assert isinstance(probe, ProbeAnswer)
            return probe

        whole = BrokerSettings(
            leadership=PATIENT,
            commit=CommitSettings(backoff_first_ms=1, backoff_max_ms=2),
            limits=QueueLimits(),
            drain_ms=2_000,
        )
        engine = Engine(
            store,
            KEY,
            address=address,
            settings=replace(whole, **settings),
            clock=clock or SystemClock(),
            entropy=SystemEntropy(),
            waiting=WaitingClaims,
            probe=answer if isinstance(probe, ProbeAnswer) else probe,
        )
        self.made.append(engine)
        return engine

    async def start(self, store: Store, **options: Any) -> Engine:
        engine = self.make(store, **options)
        await soon(engine.start())
        return engine


@pytest.fixture
async def brokers() -> AsyncIterator[Brokers]:
    made = Brokers()
    yield made
    for engine in made.made:
        await soon(engine.stop())
        assert engine._desk.idle


def submit(*job_ids: str) -> Submit:
    return Submit(tuple(NewJob(job_id) for job_id in job_ids))


@pytest.fixture
def start() -> Iterator[Start]:
    """Makes a pure committer whose first write is under way."""
    made: list[Trace] = []

    def make(data: bytes | None = None, **settings: Any) -> Trace:
        made.append(Trace(data, **settings))
        return made[-1]

    yield make
    for trace in made:
        trace.finish()
