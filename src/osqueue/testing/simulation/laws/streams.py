"""The law of streams of events: what one tells is durable, in order, and leaves nothing out.

From its first update on no change is missing that a commit made to a job, and of each job it says
what stands in that commit's version. It does not tell of what people do by hand: what a commit made
is measured from the version that it stands on, which may be a person's, and what he made of a job
is told with the next commit that moves it, or never.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from osqueue.testing.simulation.laws.law import expect
from osqueue.wire.messages import JobEvent, Update

__all__ = ["Commit", "Commits", "expect_told"]

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


class Commit(msgspec.Struct, frozen=True):
    """One durable commit: when, which jobs it moved from how they stood in the version before, and
    how many had completed by then.
    """

    at_us: int
    moved: tuple[str, ...]
    completed_total: int


class Commits(Protocol):
    """The line of versions, as far as a stream tells of it."""

    commits: dict[tuple[int, int], Commit]
    created: set[int]
    """Epochs that began with an object that was gone: their leader was the leader before."""

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
    if epoch != before[0]:
        expect(epoch in line.created, "one stream tells of epochs %s and %s", before[0], epoch)
        before = (epoch, min(commit[1] for commit in line.commits if commit[0] == epoch) - 1)
    for between in range(before[1] + 1, number + 1):
        commit = line.commits.get((epoch, between))
        for job_id in () if commit is None else commit.moved:
            there = between == number and job_id in told
            expect(there, "what %s-%s did to job %s was not told", epoch, between, job_id)
