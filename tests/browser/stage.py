"""A broker that has been busy for an hour, for pictures: what it has done is drawn from a seed.

Its clock starts an hour early and is put on, a few milliseconds at a time, while the jobs of that
hour are submitted, claimed and ended by plain calls. So its history is a real one, made in seconds,
and ends at the same moment for every picture.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Final
from unittest.mock import patch

from msgspec.structs import replace
from tests.browser.scene import TIMEOUT, Scene, about, furnish, schedule
from tests.integration.kinds import client_of
from tests.integration.servers.process import HOST, free_port

from osqueue.app import BrokerServer
from osqueue.client import OsqueueClient
from osqueue.client.models import Job, NewJob
from osqueue.client.runtime import Runtime
from osqueue.clock import SeededEntropy
from osqueue.config import BrokerSettings, CommitSettings, QueueLimits
from osqueue.storage import MemoryBackend
from osqueue.storage.protocol import Version
from osqueue.testing.travelling_clock import ProducerClock, TravellingClock

__all__ = ["NOW", "staged"]

NOW: Final = datetime(2026, 5, 12, 14, 30, tzinfo=UTC)
"""When the pictures are taken."""

STEP_MS: Final = 5_000
STEPS: Final = 720
FURNISHING_MS: Final = 13 * 60_000
"""More than `furnish` lets pass; what is left of it is played after that."""

REINDEX_MS: Final = 25 * 60_000

LAST_STEP_MS: Final = 900
LAST_JOBS: Final = 140
"""What is done in the last second: the rates just now are of that."""

INCIDENT: Final = range(430, 470)
"""The steps in which a server was down that the jobs need."""

TRAFFIC: Final = ("order:confirm", "search:index", "image:resize")
"""What comes and goes all the time."""
WORKERS: Final = ("mail-1", "mail-2", "media-1", "reports-1")
SEED: Final = 7
NO_PAUSE_MS: Final = 2**53
"""Time that is put on is no pause of the process."""

EMAIL: Final = {
    "type": "object",
    "title": "SendEmail",
    "required": ["to"],
    "properties": {
        "to": {"type": "string", "title": "To"},
        "template": {"enum": ["welcome", "receipt", "reminder"], "title": "Template"},
        "attachments": {"type": "integer", "minimum": 0, "default": 0, "title": "Attachments"},
        "urgent": {"type": "boolean", "default": False, "title": "Urgent"},
    },
}
"""What the payload of an email is, as its worker announces it."""


class StageClock(TravellingClock):
    """Begins an hour before `NOW`, and stands still when told so."""

    def __init__(self) -> None:
        super().__init__()
        self._stood_still_at: int | None = None
        self._off_ms = round(NOW.timestamp() * 1_000) - STEPS * STEP_MS - super().wall_ms()

    def wall_ms(self) -> int:
        if self._stood_still_at is not None:
            return self._stood_still_at
        return super().wall_ms() + self._off_ms

    def stand_still(self) -> None:
        """It is `NOW` from here on, for every picture."""
        self._stood_still_at = round(NOW.timestamp() * 1_000)


class StageEntropy(SeededEntropy):
    """Ids that say the time, as those of a queue do."""

    def __init__(self, clock: StageClock) -> None:
        super().__init__(SEED)
        self._clock = clock

    def job_id(self) -> str:
        stamp = f"{self._clock.wall_ms():012x}"
        return f"{stamp[:8]}-{stamp[8:]}{super().job_id()[13:]}"


class NearbyStore(MemoryBackend):
    """Takes as long for a write as a bucket in the same building: by its own watch, so that a
    pause of this machine is no slow write.
    """

    def __init__(self) -> None:
        super().__init__()
        self._entropy = SeededEntropy(SEED)
        self._watch_us = 0

    def ticks(self) -> int:
        """What the time of its calls is taken by, in microseconds."""
        return self._watch_us

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        took_s = 0.0015 * (1 - math.log(1 - self._entropy.jitter()))
        await asyncio.sleep(took_s)
        self._watch_us += round(took_s * 1e6)
        return await super().put(key, data, if_version=if_version)


class _Stage:
    """The broker, and what is played on it."""

    def __init__(self, broker: BrokerServer, client: OsqueueClient, clock: StageClock) -> None:
        self._broker = broker
        self._client = client
        self._clock = clock
        self._entropy = SeededEntropy(SEED)
        self._steps = 0

    async def play(self, ms: int) -> None:
        """Let so much time pass, with what happens in it."""
        until = self._clock.wall_ms() + ms
        await self._travel(ms % STEP_MS)
        while until - self._clock.wall_ms() >= STEP_MS:
            began = self._clock.wall_ms()
            await self._step()
            await self._travel(began + STEP_MS - self._clock.wall_ms())
        await self._travel(until - self._clock.wall_ms())

    async def play_to_the_end(self) -> None:
        """Let time pass until `NOW`."""
        left_ms = round(NOW.timestamp() * 1_000) - self._clock.wall_ms()
        assert left_ms >= 0, "the scene takes longer than `FURNISHING_MS`"
        await self.play(left_ms - LAST_STEP_MS)
        await self._submit(LAST_JOBS)
        await self._work(WORKERS[0], failing=0.0)
        self._clock.stand_still()

    async def _step(self) -> None:
        step = self._steps
        self._steps += 1
        worker = WORKERS[step % len(WORKERS)]
        down = step in INCIDENT
        await self._submit(self._amount(step))
        await self._travel(self._between(4, 90))
        await self._work(worker, failing=0.06 if down else 0.002, limit=90 if down else 1_000)
        await self._submit(self._between(5, 20))
        await self._travel(self._between(100, 900))
        await self._work(WORKERS[step % 2], failing=0.0, limit=25 if down else 1_000)

    def _amount(self, step: int) -> int:
        wave = math.sin(step / 90) + 0.4 * math.sin(step / 17)
        return max(1, round(120 + 50 * wave + self._between(-9, 9)))

    def _between(self, least: int, most: int) -> int:
        return least + int(self._entropy.jitter() * (most - least + 1))

    async def _submit(self, number: int) -> None:
        kinds = [TRAFFIC[self._between(0, len(TRAFFIC) - 1)] for _ in range(number)]
        await self._client.submit_jobs([NewJob(kind, {"n": n}) for n, kind in enumerate(kinds)])

    async def _work(self, worker: str, *, failing: float, limit: int = 1_000) -> int:
        """Claim what there is, and end it; answers how much that was."""
        said = about(worker)
        jobs = await self._client.claim_jobs(worker, TRAFFIC, max_jobs=limit, worker=said)
        await self._travel(self._between(20, 150))
        bad = [job for job in jobs if self._entropy.jitter() < failing]
        for job in bad:
            await self._client.fail_job(job, TIMEOUT, retry=job.attempt < 2, delay_ms=STEP_MS)
        good: Sequence[Job] = [job for job in jobs if job not in bad]
        assert not any(await self._client.complete_jobs(good))
        return len(jobs)

    async def _travel(self, ms: int) -> None:
        """While nothing is written: a write that is under way would seem to have hung."""
        core = self._broker._core
        assert core is not None, "it has started"
        while core.engine.writing:  # noqa: ASYNC110 - in memory it takes a turn of the loop
            await asyncio.sleep(0)
        self._clock.travel(max(0, ms))


@asynccontextmanager
async def staged() -> AsyncIterator[tuple[str, Scene]]:
    """The broker's URL, at `NOW`, which does not pass; and what there is in it."""
    clock = StageClock()
    settings = BrokerSettings(
        limits=QueueLimits(lease_timeout_ms=600_000),
        commit=replace(CommitSettings(), pause_ms_max=NO_PAUSE_MS),
    )
    store, port = NearbyStore(), free_port()
    runtime = Runtime(clock=ProducerClock(clock), entropy=StageEntropy(clock))
    server = BrokerServer(
        store,
        host=HOST,
        port=port,
        advertise="queue-1.internal:8080",
        settings=settings,
        clock=clock,
        entropy=SeededEntropy(SEED),
    )
    async with AsyncExitStack() as stack:
        with patch("osqueue.core.precise_us", store.ticks):
            broker = await stack.enter_async_context(server)
        client = await stack.enter_async_context(client_of("direct", broker, runtime=runtime))
        stage = _Stage(broker, client, clock)
        await schedule(client)
        await client.put_schedule("reindex", TRAFFIC[1], {"of": "products"}, every_ms=REINDEX_MS)
        await stage.play(STEPS * STEP_MS - FURNISHING_MS)
        scene = await furnish(client, stage.play)
        await client.announce_types({"email:send": EMAIL})
        await stage.play_to_the_end()
        yield f"http://{HOST}:{port}", scene
