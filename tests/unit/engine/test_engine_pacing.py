"""Engines on stores that want to be written less often: commits wait, and none fails for it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from osqueue.config import LeadershipSettings, ThrottleSettings
from osqueue.model.outcomes import Submitted
from osqueue.storage import MemoryBackend, ThrottledStorageBackend
from osqueue.testing import Fault, ScriptedStore, Step

from .conftest import Brokers, soon, submit


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1, "osqueue.engine")


def busy(call: str, times: int) -> list[Step]:
    return [Step(call, Fault.BUSY)] * times  # type: ignore[arg-type]


async def test_takeover_when_the_store_asks_to_slow_down_then_it_is_made_later(
    brokers: Brokers,
) -> None:
    store = ScriptedStore(MemoryBackend(), busy("create", 5))
    engine = await brokers.start(store)
    assert store.unused == ()
    assert engine.status().ready


async def test_commit_when_the_store_asks_to_slow_down_then_it_is_made_later(
    brokers: Brokers,
) -> None:
    store = ScriptedStore(MemoryBackend())
    engine = await brokers.start(store)
    store.then(*busy("put", 5))
    held = await soon(engine.ask(submit("a")))
    assert held.outcome == Submitted(1)
    assert store.unused == ()
    assert engine.end is None


async def test_budget_when_it_is_used_up_then_requests_go_with_the_heartbeats(
    brokers: Brokers,
) -> None:
    store = ThrottledStorageBackend(MemoryBackend(), ThrottleSettings(writes_per_day=1))
    often = LeadershipSettings(heartbeat_interval_ms=100, heartbeat_timeout_ms=5_000)
    engine = await brokers.start(store, leadership=often)
    for number in range(3):
        asked = (engine.ask(submit(f"{number}-{n}")) for n in range(50))
        held = await soon(asyncio.gather(*asked))
        assert {each.position for each in held} == {held[0].position}, "all in one commit"
    assert engine.status().ready
    stats = store.stats()
    assert stats.total_writes == stats.daily_write_count >= engine.status().commits
    assert stats.daily_budget_exceeded
    assert stats.throttled_writes >= 2, "each of those that had to wait"
    assert stats.total_write_delay_ms >= 1


async def test_stop_when_nothing_may_be_written_for_a_day_then_it_does_not_wait(
    brokers: Brokers,
) -> None:
    store = ThrottledStorageBackend(MemoryBackend(), ThrottleSettings(writes_per_day=1))
    engine = await brokers.start(store)
    assert store.stats().daily_budget_exceeded
    asked = asyncio.create_task(engine.ask(submit("a")))
    await asyncio.sleep(0)
    await soon(engine.stop())
    assert (await asked).outcome == Submitted(1)
    stored = await store.inner.get("queue.json")
    assert stored is not None
    assert b'"broker":null' in stored.data
