"""The throttle: what waits, for how long, and what never does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from osqueue.config import ThrottleSettings
from osqueue.errors import CASConflictError, ConfigError, StoreNotFoundError
from osqueue.storage import MemoryBackend, ThrottledStorageBackend, Version
from osqueue.storage.throttled import DAY_MS

from .manual_clock import ManualClock, settle

SPACING_MS = 3_000
STATE = "queue.json"


class Throttled:
    """A throttled store in memory, and when each call of it passed."""

    def __init__(self, **limits: int) -> None:
        self.clock = ManualClock()
        self.memory = MemoryBackend()
        self.began = self.clock.mono
        self.store = ThrottledStorageBackend(
            self.memory,
            ThrottleSettings(**limits),
            least_spacing_ms=SPACING_MS,
            clock=self.clock,
            sleep=self.clock.sleep,
        )
        self.passed: list[tuple[str, int]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def call(self, name: str, work: Coroutine[Any, Any, object]) -> asyncio.Task[None]:
        async def run() -> None:
            await work
            self.passed.append((name, self.clock.mono - self.began))

        self._tasks.append(asyncio.create_task(run()))
        return self._tasks[-1]

    def writes(self, *names: str) -> list[asyncio.Task[None]]:
        return [self.call(name, self.store.create(name, b"")) for name in names]

    def reads(self, *names: str) -> list[asyncio.Task[None]]:
        return [self.call(name, self._read(name)) for name in names]

    def pass_times(self) -> list[int]:
        return [at for _, at in self.passed]

    async def _read(self, name: str) -> None:
        with pytest.raises(StoreNotFoundError):
            await self.store.get(name)


def test_limits_when_negative_then_refused() -> None:
    with pytest.raises(ConfigError, match="S3_MAX_WRITES_PER_DAY"):
        ThrottledStorageBackend(MemoryBackend(), ThrottleSettings(writes_per_day=-1))


async def test_calls_when_there_is_no_limit_then_none_waits() -> None:
    t = Throttled()
    t.writes(*(f"k{number}" for number in range(100)))
    t.reads(*(f"r{number}" for number in range(100)))
    await settle()
    assert len(t.passed) == 200
    assert t.store.stats().throttled_writes == t.store.stats().throttled_reads == 0


async def test_writes_when_one_a_second_is_allowed_then_so_and_in_order() -> None:
    t = Throttled(writes_per_minute=60)
    t.writes("a", "b", "c", "d")
    await t.clock.passes(10_000)
    assert t.passed == [("a", 0), ("b", 1_000), ("c", 2_000), ("d", 3_000)]


async def test_writes_when_many_are_allowed_then_a_seconds_worth_goes_at_once() -> None:
    t = Throttled(writes_per_minute=600)
    await t.clock.passes(60_000)
    t.writes(*(f"k{number}" for number in range(13)))
    await t.clock.passes(1_000)
    assert t.pass_times() == [60_000] * 10 + [60_100, 60_200, 60_300]


async def test_reads_when_limited_then_they_wait_and_writes_do_not() -> None:
    t = Throttled(reads_per_minute=60)
    t.reads("a", "b")
    t.writes("c", "d")
    await t.clock.passes(5_000)
    assert t.passed == [("a", 0), ("c", 0), ("d", 0), ("b", 1_000)]


async def test_listing_when_reads_are_limited_then_it_is_one() -> None:
    t = Throttled(reads_per_minute=60)

    async def listed() -> None:
        assert [key async for key in t.store.list("x")] == []

    t.call("first", listed())
    t.call("second", listed())
    await t.clock.passes(1_000)
    assert t.passed == [("first", 0), ("second", 1_000)]


async def test_head_when_reads_are_limited_then_it_is_one() -> None:
    t = Throttled(reads_per_minute=60)
    version = await t.store.create("a", b"1")

    async def look() -> None:
        assert await t.store.head("a") == version

    t.call("first", look())
    t.reads("b")
    t.call("second", look())
    await t.clock.passes(2_000)
    assert t.passed == [("first", 0), ("b", 1_000), ("second", 2_000)]
    assert (t.store.stats().total_reads, t.store.stats().throttled_reads) == (3, 2)


async def test_head_when_it_is_the_writers_own_then_it_waits_for_no_others() -> None:
    t = Throttled(reads_per_minute=1)
    await t.store.create(STATE, b"1")
    t.store.write_ready_in_ms(STATE)
    t.reads("a", "b", "c")
    await t.clock.passes(SPACING_MS)
    t.call("own", t.store.head(STATE))
    await t.clock.passes(0)
    assert t.passed == [("a", 0), ("b", SPACING_MS), ("own", SPACING_MS)]


async def test_put_and_delete_when_writes_are_limited_then_they_are_writes() -> None:
    t = Throttled(writes_per_minute=60)
    version = await t.store.create("a", b"1")
    t.call("put", t.store.put("a", b"2", if_version=version))
    t.call("delete", t.store.delete("a"))
    await t.clock.passes(2_000)
    assert t.passed == [("put", 1_000), ("delete", 2_000)]


async def test_writes_when_the_limit_is_tiny_then_one_passes_every_least_spacing() -> None:
    t = Throttled(writes_per_minute=1)
    t.writes("a", "b", "c")
    await t.clock.passes(10_000)
    assert t.pass_times() == [0, SPACING_MS, 2 * SPACING_MS]


async def test_wait_when_its_caller_goes_away_then_those_behind_move_up() -> None:
    t = Throttled(writes_per_minute=60)
    _, second, _ = t.writes("a", "b", "c")
    await settle()
    second.cancel()
    await t.clock.passes(5_000)
    assert t.passed == [("a", 0), ("c", 1_000)]
    with pytest.raises(StoreNotFoundError):
        await t.memory.get("b")


async def test_errors_when_the_store_fails_then_they_pass_through() -> None:
    t = Throttled(writes_per_minute=6_000)
    await t.store.create("a", b"1")
    with pytest.raises(CASConflictError):
        await t.store.create("a", b"2")
    with pytest.raises(CASConflictError):
        await t.store.put("a", b"2", if_version=Version("no"))
    assert t.store.url == "memory://"
    await t.store.close()


# The day's budget


async def test_budget_when_it_is_used_up_then_writes_go_on_at_the_least_spacing() -> None:
    t = Throttled(writes_per_day=2)
    t.writes("a", "b", "c", "d")
    await t.clock.passes(10_000)
    assert t.pass_times() == [0, 0, SPACING_MS, 2 * SPACING_MS]
    stats = t.store.stats()
    assert (stats.daily_write_count, stats.daily_budget_exceeded) == (4, True)


async def test_budget_when_the_utc_day_ends_then_it_is_new() -> None:
    t = Throttled(writes_per_day=1)
    t.writes("a")
    await settle()
    assert t.store.stats().daily_budget_exceeded
    assert t.store.write_ready_in_ms(STATE) == DAY_MS // 2
    t.clock.wall += DAY_MS // 2
    assert not t.store.stats().daily_budget_exceeded
    assert t.store.stats().daily_write_count == 0
    assert t.store.write_ready_in_ms(STATE) == 0


async def test_budget_when_the_clock_was_wrong_by_a_year_then_it_is_not_stuck_there() -> None:
    t = Throttled(writes_per_day=1)
    t.clock.wall += 365 * DAY_MS
    t.writes("a")
    await settle()
    t.clock.wall -= 365 * DAY_MS
    assert t.store.write_ready_in_ms(STATE) == 0


# Those who ask first


async def test_asker_when_it_is_told_to_wait_then_its_write_does_not_wait_all_the_same() -> None:
    t = Throttled(writes_per_minute=60)
    assert t.store.write_ready_in_ms(STATE) == 0
    version = await t.store.create(STATE, b"1")
    assert t.store.write_ready_in_ms(STATE) == 1_000
    await t.clock.passes(400)
    assert t.store.write_ready_in_ms(STATE) == 600
    await t.store.put(STATE, b"2", if_version=version)
    assert t.clock.mono - t.began == 400, "it did not wait inside"


async def test_asker_when_it_could_not_wait_then_others_lose_nothing_by_it() -> None:
    t = Throttled(writes_per_minute=60)
    t.store.write_ready_in_ms(STATE)
    await t.store.create(STATE, b"")
    t.writes("a", "b")
    for _ in range(20):
        await t.clock.passes(100)
        await t.store.delete(STATE)
    assert t.pass_times() == [1_000, 2_000]


async def test_asker_when_others_wait_then_it_is_told_to_stand_behind_them() -> None:
    t = Throttled(writes_per_minute=60)
    t.writes("a", "b", "c")
    await settle()
    assert t.store.write_ready_in_ms(STATE) == 3_000


async def test_asker_when_the_budget_is_used_up_then_its_writes_pass() -> None:
    t = Throttled(writes_per_day=1)
    t.writes("a")
    await settle()
    t.store.write_ready_in_ms(STATE)
    await t.store.create(STATE, b"")
    assert t.store.stats().daily_write_count == 2


async def test_asker_when_many_reads_wait_then_its_reads_do_not_stand_behind_them() -> None:
    t = Throttled(reads_per_minute=60)
    t.store.write_ready_in_ms(STATE)
    t.reads(*(f"r{number}" for number in range(50)))
    t.reads(STATE)
    await t.clock.passes(SPACING_MS)
    assert STATE in dict(t.passed)


# Statistics


async def test_stats_when_nothing_happened_then_the_names_of_the_wire() -> None:
    assert msgspec.json.decode(msgspec.json.encode(Throttled().store.stats())) == {
        "totalReads": 0,
        "totalWrites": 0,
        "throttledReads": 0,
        "throttledWrites": 0,
        "totalReadDelayMs": 0,
        "totalWriteDelayMs": 0,
        "dailyWriteCount": 0,
        "dailyBudgetExceeded": False,
    }


async def test_stats_when_calls_waited_then_how_many_and_how_long() -> None:
    t = Throttled(writes_per_minute=60, reads_per_minute=120)
    t.writes("a", "b", "c")
    t.reads("x", "y", "z", "v")
    await t.clock.passes(10_000)
    stats = t.store.stats()
    assert (stats.total_writes, stats.throttled_writes, stats.total_write_delay_ms) == (3, 2, 3_000)
    assert (stats.total_reads, stats.throttled_reads, stats.total_read_delay_ms) == (4, 2, 1_500)


async def test_stats_when_an_asker_waited_outside_then_that_counts_too() -> None:
    t = Throttled(writes_per_minute=60)
    t.store.write_ready_in_ms(STATE)
    version = await t.store.create(STATE, b"1")
    await t.clock.passes(300)
    t.store.write_ready_in_ms(STATE)
    await t.clock.passes(700)
    assert t.store.write_ready_in_ms(STATE) == 0
    await t.store.put(STATE, b"2", if_version=version)
    stats = t.store.stats()
    assert (stats.total_writes, stats.throttled_writes, stats.total_write_delay_ms) == (2, 1, 700)
