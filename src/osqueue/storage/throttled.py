"""A store that is asked less often: so many reads and writes a minute, so many writes a day.

Nothing is refused; what comes too soon waits for its turn, first come, first served. The laws:

- However small a limit, one call of a kind passes every ``least_spacing_ms``, and that is also the
  pace when the day's budget is used up. So a queue is slowed down, but never stuck.
- Whoever asks `write_ready_in_ms` waits outside: its writes never wait in here, where a time-out
  would take them for lost, and its reads wait for no others. So a leader writes its heartbeats in
  time, whatever else is to be written, and more requests join the commit that is put off.
- Such a write that could not be put off any longer uses up nothing that others wait for.

A day is a UTC day by the clock that was handed in; the count of a day begins with the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from math import ceil

import msgspec
from msgspec.structs import replace

from osqueue.clock import Clock, SystemClock
from osqueue.config import LeadershipSettings, ThrottleSettings
from osqueue.storage.protocol import Store, Stored, Version

__all__ = ["ThrottleStats", "ThrottledStorageBackend"]

MINUTE_MS = 60_000
DAY_MS = 86_400_000

Sleep = Callable[[float], Awaitable[None]]


class ThrottleStats(msgspec.Struct, rename="camel", kw_only=True):
    """What was let through and what had to wait, since the start. ``daily_write_count``: today."""

    total_reads: int = 0
    total_writes: int = 0
    throttled_reads: int = 0
    throttled_writes: int = 0
    total_read_delay_ms: int = 0
    total_write_delay_ms: int = 0
    daily_write_count: int = 0
    daily_budget_exceeded: bool = False


class ThrottledStorageBackend:
    """Wraps any store. ``least_spacing_ms``: a leader's heartbeat interval."""

    def __init__(
        self,
        inner: Store,
        limits: ThrottleSettings,
        *,
        least_spacing_ms: int = LeadershipSettings().heartbeat_interval_ms,
        clock: Clock | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        limits.validate()
        self._inner = inner
        clock = clock or SystemClock()
        self._budget = _Budget(limits.writes_per_day, clock)
        writes = _Bucket(limits.writes_per_minute, clock)
        reads = _Bucket(limits.reads_per_minute, clock)
        lane = partial(_Lane, spacing_ms=least_spacing_ms, clock=clock, sleep=sleep)
        self._writes = lane(writes, self._budget)
        self._reads = lane(reads, _Budget(0, clock))
        self._own_reads = lane(reads, _Budget(0, clock))
        self._clock = clock
        self._put_off_since: dict[str, int | None] = {}
        """The keys whose writer asks before it writes; since when it has been told to wait."""
        self._stats = ThrottleStats()

    @property
    def inner(self) -> Store:
        return self._inner

    @property
    def url(self) -> str:
        return self._inner.url

    def stats(self) -> ThrottleStats:
        """The statistics at this moment."""
        used = self._budget.used()
        exceeded = self._budget.exceeded()
        return replace(self._stats, daily_write_count=used, daily_budget_exceeded=exceeded)

    def write_ready_in_ms(self, key: str) -> int:
        """See `osqueue.storage.protocol.Paced`. It stands in line behind all who wait."""
        ready_in = self._writes.ready_in_ms()
        since = self._put_off_since.setdefault(key, None)
        if ready_in > 0 and since is None:
            self._put_off_since[key] = self._clock.mono_ms()
        return ready_in

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        await self._read(self._reads_of(key))
        return await self._inner.get(key, unless=unless)

    async def head(self, key: str) -> Version:
        await self._read(self._reads_of(key))
        return await self._inner.head(key)

    async def create(self, key: str, data: bytes) -> Version:
        await self._write(key)
        return await self._inner.create(key, data)

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        await self._write(key)
        return await self._inner.put(key, data, if_version=if_version)

    async def delete(self, key: str) -> None:
        await self._write(key)
        await self._inner.delete(key)

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        await self._read(self._reads)
        async for key in self._inner.list(prefix):
            yield key

    async def close(self) -> None:
        await self._inner.close()

    def _reads_of(self, key: str) -> _Lane:
        return self._own_reads if key in self._put_off_since else self._reads

    async def _read(self, lane: _Lane) -> None:
        delay_ms = await lane.wait()
        self._stats.total_reads += 1
        self._stats.throttled_reads += delay_ms > 0
        self._stats.total_read_delay_ms += delay_ms

    async def _write(self, key: str) -> None:
        if key in self._put_off_since:
            delay_ms = self._own_delay_ms(key)
            self._writes.pass_by()
        else:
            delay_ms = await self._writes.wait()
        self._stats.total_writes += 1
        self._stats.throttled_writes += delay_ms > 0
        self._stats.total_write_delay_ms += delay_ms

    def _own_delay_ms(self, key: str) -> int:
        since, self._put_off_since[key] = self._put_off_since[key], None
        return 0 if since is None else self._clock.mono_ms() - since


class _Bucket:
    """Tokens that come evenly, and gather up to a second's worth. Without a limit: always full."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._interval_ms = MINUTE_MS / per_minute if per_minute else 0.0
        self._slack_ms = (max(1.0, per_minute / 60) - 1) * self._interval_ms
        self._next_at = float(clock.mono_ms())
        """When the next token would come, were none ever gathered."""

    def ready_at(self, now_ms: int, *, behind: int = 0) -> float:
        """When there is a token for one who stands behind so many others."""
        return max(self._next_at, now_ms) + behind * self._interval_ms - self._slack_ms

    def take(self, now_ms: int) -> None:
        self._next_at = max(self._next_at, now_ms) + self._interval_ms


class _Budget:
    """So many writes each UTC day; 0: any number."""

    def __init__(self, per_day: int, clock: Clock) -> None:
        self._per_day = per_day
        self._clock = clock
        self._day = -1
        self._used = 0

    def spend(self) -> None:
        self._used = self.used() + 1

    def used(self) -> int:
        today = self._clock.wall_ms() // DAY_MS
        if today != self._day:
            self._day, self._used = today, 0
        return self._used

    def ready_in_ms(self) -> int:
        """0 while there is some left, else until the next day."""
        return DAY_MS - self._clock.wall_ms() % DAY_MS if self.exceeded() else 0

    def exceeded(self) -> bool:
        return 0 < self._per_day <= self.used()


class _Lane:
    """Calls that pass one after another. Two lanes may share a bucket."""

    def __init__(
        self, bucket: _Bucket, budget: _Budget, *, spacing_ms: int, clock: Clock, sleep: Sleep
    ) -> None:
        self._bucket = bucket
        self._budget = budget
        self._spacing_ms = spacing_ms
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._passed_at = clock.mono_ms()

    async def wait(self) -> int:
        """Pass when it is this call's turn; for how long it waited, in ms."""
        arrived_at = self._clock.mono_ms()
        self._waiting += 1
        try:
            async with self._turn:
                while (pause_ms := self._pause_ms()) > 0:
                    await self._sleep(pause_ms / 1_000)
                self._passed_at = self._clock.mono_ms()
                self._use(behind=0)
        finally:
            self._waiting -= 1
        return self._passed_at - arrived_at

    def pass_by(self) -> None:
        """Pass now, and use up only what those who wait leave over."""
        self._use(behind=self._waiting)

    def ready_in_ms(self, *, behind: int | None = None) -> int:
        """When a call that comes now would be within the limits, behind all who wait."""
        now_ms = self._clock.mono_ms()
        behind = self._waiting if behind is None else behind
        token_at = self._bucket.ready_at(now_ms, behind=behind)
        return max(0, ceil(token_at - now_ms), self._budget.ready_in_ms())

    def _pause_ms(self) -> int:
        longest_ms = self._passed_at + self._spacing_ms - self._clock.mono_ms()
        return min(longest_ms, self.ready_in_ms(behind=0))

    def _use(self, *, behind: int) -> None:
        now_ms = self._clock.mono_ms()
        if self._bucket.ready_at(now_ms, behind=behind) <= now_ms:
            self._bucket.take(now_ms)
        self._budget.spend()
