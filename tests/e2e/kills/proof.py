"""Workers killed at random moments under load, and what has become of their jobs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from random import Random  # noqa: TID251 - seeded

import msgspec

from osqueue.app import BrokerServer
from osqueue.client import NewJob, OsqueueClient
from osqueue.config import BrokerSettings, QueueLimits

__all__ = ["Proof", "prove"]

ROOT = Path(__file__).parents[3]
ALIVE = 2
"""Workers at a time: while one is killed, the other goes on."""
LIFE_S_MAX = 0.15
BACKLOG = 300
DRAIN_S = 120


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    jobs: int
    kills: int
    runs: int
    ran_twice: int
    """Jobs that began more than once."""
    broke_off: int
    """Runs in the middle of which a worker was killed."""
    never_done: list[str]
    completed_otherwise_than_once: list[str]
    dead: int

    @property
    def holds(self) -> bool:
        return not (self.never_done or self.completed_otherwise_than_once or self.dead)


async def prove(kills: int, seed: int, folder: Path) -> Proof:
    """Kill that many workers; then let one do all that is left."""
    limits = QueueLimits(lease_timeout_ms=1_000, orphan_after_ms=400, finished_max=10)
    settings = BrokerSettings(limits=limits)
    log, random = folder / "runs.log", Random(seed)
    async with (
        BrokerServer(f"file://{folder}/queue", host="127.0.0.1", port=0, settings=settings) as at,
        OsqueueClient(at.url, transport="ws") as client,
        Completions.of(client) as completed,
        Crew.at(at.url, log) as crew,
    ):
        ids = await _under_load(client, crew, kills, random)
        await crew.hire()
        async with asyncio.timeout(DRAIN_S):
            while (await client.get_stats()).total or completed.count.total() < len(ids):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return _found(ids, kills, completed.count, (await client.get_stats()).dead, log)


async def _under_load(client: OsqueueClient, crew: Crew, kills: int, random: Random) -> list[str]:
    """Kill workers while there is always something to do; answers the jobs."""
    ids: list[str] = []
    for _ in range(kills):
        missing = BACKLOG - (await client.get_stats()).unclaimed
        if missing > 0:
            ids += await client.submit_jobs([NewJob("job", max_attempts=1_000)] * missing)
        while crew.size < ALIVE:
            await crew.hire()
        await asyncio.sleep(random.random() * LIFE_S_MAX)
        crew.kill_the_oldest()
    return ids


def _found(ids: list[str], kills: int, completed: Counter[str], dead: int, log: Path) -> Proof:
    runs = [line.split() for line in log.read_text().splitlines()]
    began = Counter(job_id for what, job_id in runs if what == "began")
    done = {job_id for what, job_id in runs if what == "done"}
    return Proof(
        jobs=len(ids),
        kills=kills,
        runs=began.total(),
        ran_twice=sum(count > 1 for count in began.values()),
        broke_off=began.total() - sum(what == "done" for what, _ in runs),
        never_done=[job_id for job_id in ids if job_id not in done],
        completed_otherwise_than_once=[job_id for job_id in ids if completed[job_id] != 1],
        dead=dead,
    )


class Completions:
    """Counts what durable commits tell of completions."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()

    @classmethod
    @asynccontextmanager
    async def of(cls, client: OsqueueClient) -> AsyncIterator[Completions]:
        completions, begun = cls(), asyncio.Event()
        following = asyncio.create_task(completions._follow(client, begun))
        await begun.wait()
        yield completions
        following.cancel()
        await asyncio.wait({following})

    async def _follow(self, client: OsqueueClient, begun: asyncio.Event) -> None:
        async with aclosing(client.subscribe()) as updates:
            async for update in updates:
                begun.set()
                self.count.update(e.job_id for e in update.events if e.kind == "completed")


class Crew:
    """Worker processes, forked from one that has loaded everything."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._pids: deque[int] = deque()

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str, log: Path) -> AsyncIterator[Crew]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.e2e.kills.crew", url, str(log)),
            cwd=ROOT,
            stdin=pipe,
            stdout=pipe,
        )
        crew = cls(process)
        try:
            yield crew
        finally:
            while crew.size:
                crew.kill_the_oldest()
            process.kill()
            await process.communicate()

    @property
    def size(self) -> int:
        return len(self._pids)

    async def hire(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        self._pids.append(int(await self._process.stdout.readline()))

    def kill_the_oldest(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._pids.popleft(), signal.SIGKILL)
