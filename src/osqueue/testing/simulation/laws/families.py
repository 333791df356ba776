"""The law of jobs that come after others: none runs before all of these have completed, and none
waits for one that is over.

It is held against every version of the state object, so it says in which commit a job is freed: in
the one that completes the last job that it waits for, neither before nor after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from osqueue.testing.simulation.laws.law import expect

__all__ = ["Member", "ended_with_a_parent", "expect_families", "never_to_run"]

_OVER_UNDONE: Final = frozenset({"cancelled", "discarded"})


class Member(Protocol):
    """A job as it stands in the object, as far as others come before it."""

    @property
    def id(self) -> str: ...

    @property
    def status(self) -> str: ...

    @property
    def run_at(self) -> int | None: ...

    @property
    def after(self) -> tuple[str, ...]: ...

    @property
    def waits_for(self) -> tuple[str, ...]: ...


def expect_families(
    before: Mapping[str, Member],
    jobs: Mapping[str, Member],
    how_ended: Callable[[str], str | None],
) -> None:
    """``how_ended``: how a job has ended, up to the version in which ``jobs`` stand."""
    for job in jobs.values():
        if not job.after:
            continue
        earlier = before.get(job.id)
        same = earlier is None or earlier.after == job.after
        expect(same, "job %s came after others before: %s, %s", job.id, earlier, job)
        free = job.status == "unclaimed" or not job.waits_for
        expect(free, "job %s runs, and waits for others: %s", job.id, job.waits_for)
        for parent in job.after:
            if parent in job.waits_for:
                there = parent in jobs
                expect(there, "job %s waits for %s: that is %s", job.id, parent, how_ended(parent))
            else:
                completed = how_ended(parent) == "completed"
                expect(completed, "job %s waits no more for %s: it lives", job.id, parent)


def ended_with_a_parent(parents: Iterable[str], how_ended_now: Callable[[str], str | None]) -> bool:
    """Whether one of these was cancelled or discarded in the version that is looked at."""
    return any(how_ended_now(parent) in _OVER_UNDONE for parent in parents)


def never_to_run(jobs: Mapping[str, Member], wall_ms: int) -> set[str]:
    """Jobs that need not run by that time: dead letters, what a clock that was wrong has put off,
    and what waits for such. Parents stand before their children.
    """
    still: set[str] = set()
    for job in jobs.values():
        put_off = job.run_at is not None and job.run_at >= wall_ms
        if job.status == "dead" or put_off or not still.isdisjoint(job.waits_for):
            still.add(job.id)
    return still
