"""One sitting of the demo: everything between the start of its processes and their stop."""

from __future__ import annotations

import asyncio
import webbrowser
from typing import Final

import msgspec

from osqueue.cli.demo.crew import LEASE_TIMEOUT_MS, Crew
from osqueue.cli.demo.figures import Figures, start_times
from osqueue.cli.demo.member import Member
from osqueue.cli.demo.place import Place
from osqueue.cli.demo.record import RunRecord
from osqueue.cli.demo.results import Results
from osqueue.cli.demo.watch import Watch
from osqueue.cli.demo.worker import INDEX_FILE
from osqueue.cli.progress import Progress
from osqueue.client import NewJob, OsqueueClient, Stats
from osqueue.clock import SystemClock
from osqueue.config import ClientSettings
from osqueue.errors import OsqueueError

__all__ = ["Outcome", "Session"]

ATTEMPTS_MAX: Final = 20
"""Of one job: somebody may kill workers for fun."""

LOOK_S: Final = 0.1
SETTLE_MS_MAX: Final = 2 * LEASE_TIMEOUT_MS
"""A worker killed at the very end: its jobs are handed out again, and done."""


class Outcome(msgspec.Struct, frozen=True):
    """What is left in the queue, and what was measured."""

    left: int
    dead: int
    figures: Figures


class Session:
    """Submits what is missing, and waits until it is done."""

    def __init__(
        self,
        place: Place,
        record: RunRecord,
        *,
        watch: Watch,
        progress: Progress,
        open_page: bool = False,
    ) -> None:
        self._results = Results(place.results)
        self._pings = Results(place.pings)
        self._paths = record.paths()
        self._storage = place.storage
        self._watch = watch
        self._progress = progress
        self._open_page = open_page
        self._clock = SystemClock()

    async def run(self, crew: Crew) -> Outcome:
        """Start the processes, and do it all."""
        await crew.start()
        leader = await self._first_leader()
        self._say_who(crew, leader)
        if leader.address is not None:
            await self._show_page(f"{leader.address}/")
        async with OsqueueClient(storage=self._storage) as client:
            stats = client.with_settings(ClientSettings(retry_for_ms=0, timeout_ms=1_000))
            await self._until_ready(stats)
            before = self._results.job_ids()
            began = self._clock.wall_ms(), self._clock.mono_ms()
            await self._index(client, stats)
            took_ms = self._clock.mono_ms() - began[1]
            await self._watch.look()
            commits = self._watch.commits
            self._progress.show_stage("timing")
            times = await start_times(client, self._pings, most=len(self._paths))
            left = await self._settled(client)
        return Outcome(
            left.total,
            left.dead,
            Figures(
                jobs=len(self._results.job_ids() - before),
                took_ms=took_ms,
                commits=commits,
                start_times=times,
                line_times=self._line_times(since_ms=began[0]),
            ),
        )

    async def _first_leader(self) -> Member:
        while (leader := self._watch.leader) is None:  # noqa: ASYNC110 - another process starts
            await asyncio.sleep(LOOK_S)
        return leader

    def _say_who(self, crew: Crew, leader: Member) -> None:
        """Name the processes, for those who like to kill some."""
        self._progress.note(crew.roster(leader))
        self._progress.note(f"Kill any of them, even the leader: kill -9 {leader.pid}")

    async def _show_page(self, url: str) -> None:
        """Say where the dashboard is, and open it if that is wanted."""
        self._progress.note(f"dashboard: {url}")
        if self._open_page and not await asyncio.to_thread(webbrowser.open, url):
            self._progress.note("There is no browser here that could be opened.")

    async def _until_ready(self, client: OsqueueClient) -> None:
        while await _stats(client) is None:  # noqa: ASYNC110 - another process starts
            await asyncio.sleep(LOOK_S)

    async def _index(self, client: OsqueueClient, watching: OsqueueClient) -> None:
        submitting = asyncio.ensure_future(self._submit(client))
        try:
            while not (submitting.done() and await self._is_empty(watching)):
                self._progress.show(len(self._results.job_ids()))
                await asyncio.sleep(LOOK_S)
            await submitting
        finally:
            submitting.cancel()
        self._progress.show(len(self._results.job_ids()))

    async def _is_empty(self, client: OsqueueClient) -> bool:
        stats = await _stats(client)
        return stats is not None and stats.total == 0

    async def _settled(self, client: OsqueueClient) -> Stats:
        """The counts when the last reports have come in, or don't come any more."""
        until_ms = self._clock.mono_ms() + SETTLE_MS_MAX
        while True:
            stats = await client.get_stats()
            if stats.total == 0 or self._clock.mono_ms() > until_ms:
                return stats
            await asyncio.sleep(LOOK_S)

    async def _submit(self, client: OsqueueClient) -> None:
        """Submit every file that has no result. What is in the queue already is not doubled."""
        async for job in client.iter_jobs(status="dead"):
            await client.retry_job(job.job_id)
        done = self._results.job_ids()
        await client.submit_jobs(
            NewJob(INDEX_FILE, {"path": path}, job_id=job_id, max_attempts=ATTEMPTS_MAX)
            for job_id, path in self._paths.items()
            if job_id not in done
        )

    def _line_times(self, *, since_ms: int) -> list[int]:
        """How long jobs of this sitting waited for their turn."""
        return [
            result.started_at - result.created_at
            for result in self._results.all()
            if result.created_at >= since_ms
        ]


async def _stats(client: OsqueueClient) -> Stats | None:
    """The counts, if the broker is there."""
    try:
        return await client.get_stats()
    except OsqueueError:
        return None
