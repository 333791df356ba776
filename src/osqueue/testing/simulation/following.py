"""Those who follow what becomes of jobs by the stream of events, and the law of what it tells.

A stream tells of commits that are durable, in their order, leaves no change of a job out from its
first update on, and says of each job what stands in the object. When it ends its reader begins
anew, and reads what it may have missed in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from osqueue.client.client import OsqueueClient
from osqueue.errors import JobNotFoundError, OsqueueError
from osqueue.testing.simulation.clients import User
from osqueue.testing.simulation.laws import expect
from osqueue.testing.simulation.process import SimulatedProcess
from osqueue.wire.messages import JobEvent, Update

__all__ = ["Commit", "Commits", "Follower", "expect_told"]

FOLLOWED: Final = 0.3
"""How many of the jobs that come are followed to their end."""

PAUSE_S: Final = 0.5
"""About how long a reader whose stream has ended waits before it begins anew."""

KNOWN_MAX: Final = 5
"""How many jobs that are there already a reader follows each time that it begins."""

_STANDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "submitted": "unclaimed",
        "claimed": "in_progress",
        "retrying": "unclaimed",
        "expired": "unclaimed",
        "released": "unclaimed",
        "revived": "unclaimed",
        "progress": "in_progress",
    }
)
"""How a job is after an event; after any other, it is called as the event."""

_OVER: Final = frozenset({"completed", "cancelled", "discarded", "dead"})


class Commit(msgspec.Struct, frozen=True):
    """One durable commit: when, which jobs it moved, and how many had completed by then."""

    at_us: int
    moved: tuple[str, ...]
    completed_total: int


class Commits(Protocol):
    """The line of versions, as far as a stream tells of it."""

    commits: dict[tuple[int, int], Commit]

    def stood(self, job_id: str, at_us: int) -> str | None:
        """How a job was, after the version of that time."""
        ...


def expect_told(update: Update, line: Commits, before: tuple[int, int] | None) -> tuple[int, int]:
    """Hold an update to the line; ``before`` is the commit that the stream told of before. Answers
    the one that it tells of now.
    """
    epoch, number = map(int, update.commit.split("-"))
    commit = line.commits.get((epoch, number))
    expect(commit is not None, "commit %s was told of, and is not durable", update.commit)
    assert commit is not None
    if update.stats is not None:
        told, true = update.stats.completed_total, commit.completed_total
        expect(told == true, "%s tells that %s completed: %s", update.commit, told, true)
    last = {event.job_id: event for event in update.events}
    for event in last.values():
        _expect_stands(event, line, commit, update.commit)
    if before is not None:
        _expect_whole(update, line, before, set(last))
    return epoch, number


def _expect_stands(event: JobEvent, line: Commits, commit: Commit, name: str) -> None:
    status, stood = _STANDS.get(event.kind, event.kind), line.stood(event.job_id, commit.at_us)
    expect(status == stood, "%s tells that job %s is %s: %s", name, event.job_id, event.kind, stood)


def _expect_whole(update: Update, line: Commits, before: tuple[int, int], told: set[str]) -> None:
    """Nothing has moved since the commit told of before, but what is told now."""
    epoch, number = map(int, update.commit.split("-"))
    expect((epoch, number) >= before, "%s was told of after %s", update.commit, before)
    expect(epoch == before[0], "one stream tells of epochs %s and %s", before[0], epoch)
    for between in range(before[1] + 1, number + 1):
        commit = line.commits.get((epoch, between))
        for job_id in () if commit is None else commit.moved:
            there = between == number and job_id in told
            expect(there, "what %s-%s did to job %s was not told", epoch, between, job_id)


class Follower(User):
    """Follows some jobs to their end."""

    never_rests = True

    async def _main(self, process: SimulatedProcess) -> None:
        client = self._client(process)
        self.ledger.onlookers.begin(process.name)
        while True:
            try:
                await self._follow(client)
            except OsqueueError as error:
                self.world.trace.note(process.name, "told %s: %s", type(error).__name__, str(error))
            await asyncio.sleep(self.dice.about(PAUSE_S))

    async def _follow(self, client: OsqueueClient) -> None:
        every_ms = self.dice.pick((0, 500, 5_000))
        begun = False
        async with aclosing(client.subscribe(stats_every_ms=every_ms)) as updates:
            async for update in updates:
                for event in update.events:
                    self._hear(event)
                if not begun:
                    begun = True
                    await self._catch_up(client)

    def _hear(self, event: JobEvent) -> None:
        who, onlookers = self.process.name, self.ledger.onlookers
        if event.kind == "submitted" and self.dice.chance(FOLLOWED):
            onlookers.follow(who, event.job_id)
        onlookers.hear(who, event.job_id, event.kind if event.kind in _OVER else None)

    async def _catch_up(self, client: OsqueueClient) -> None:
        """Read what may have been missed, and some more, now that all that comes is told."""
        who, onlookers, known = self.process.name, self.ledger.onlookers, self.ledger.known
        for _ in range(min(KNOWN_MAX, len(known))):
            onlookers.follow(who, self.dice.pick(known[-30:]))
        for job_id in onlookers.followed(who):
            try:
                info = await client.get_job(job_id, consistent=True)
            except JobNotFoundError:
                onlookers.forget(who, job_id)
            else:
                onlookers.hear(who, job_id, info.status if info.status in _OVER else None)
