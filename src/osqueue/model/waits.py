"""Jobs that wait for other jobs, found by those that they wait for.

Laws: a job stands under each job that it waits for, and under no other, whether that is in the
queue, dead, or dead in the archive; so it is right as soon as the jobs are read. Each edge costs
O(1) when it comes and when it goes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from osqueue.config import CHILDREN_MAX
from osqueue.model.ends import EndMemory
from osqueue.model.family import Family
from osqueue.model.job import Job, JobStatus
from osqueue.model.ops import NewJob
from osqueue.model.outcomes import ParentMissing, TooManyChildren

__all__ = ["NOBODY", "Parents", "WaitIndex", "orphaned", "parents_of"]

Parents: TypeAlias = Mapping[str, tuple[str, ...]]
"""By job to be, the jobs that it waits for; those that wait for none are not named."""

NOBODY: Final[Parents] = MappingProxyType({})


class WaitIndex:
    """The jobs that wait for others."""

    __slots__ = ("_children", "live")

    def __init__(self) -> None:
        self._children = Family()
        self.live = 0

    def add(self, job: Job) -> None:
        self._children.add(job, job.waits_for)
        self.live += 1

    def of(self, parent_id: str) -> Collection[Job]:
        """The jobs that wait for this one."""
        return self._children.of(parent_id)

    def completed(self, parent_id: str) -> Collection[Job]:
        """The same; they wait for it no more."""
        children = self._children.pop(parent_id)
        for child in children:
            waits_for = child.noting().waits_for
            assert waits_for is not None, "it waited for this one at least"
            del waits_for[parent_id]
            self.live -= not waits_for
        return children

    def edges(self) -> set[tuple[str, str]]:
        """Who waits for whom, as (parent, child)."""
        return self._children.edges()

    def discard(self, job: Job) -> None:
        """Forget a job that waits: it waits for nothing any more."""
        self._children.discard(job, job.waits_for)
        job.noting().waits_for = None
        self.live -= 1


def parents_of(
    jobs: Iterable[NewJob], live: Mapping[str, Job], ends: EndMemory, waits: WaitIndex
) -> Parents | ParentMissing | TooManyChildren:
    """What new jobs have to wait for, each only for those before it and those that are there."""
    waiting: dict[str, tuple[str, ...]] = {}
    fresh: set[str] = set()
    children: dict[str, int] = {}
    for new in jobs:
        open_ones: list[str] = []
        for parent in dict.fromkeys(new.after):
            how = None if parent in fresh or parent in live else ends.how_job_ended(parent)
            if how is None and parent not in fresh and parent not in live:
                return ParentMissing(new.id, parent)
            if how == JobStatus.COMPLETED:
                continue
            if how not in {None, JobStatus.DEAD}:
                return ParentMissing(new.id, parent, how)
            children[parent] = children.get(parent, len(waits.of(parent))) + 1
            if children[parent] > CHILDREN_MAX:
                return TooManyChildren(parent, CHILDREN_MAX)
            open_ones.append(parent)
        if open_ones:
            waiting[new.id] = tuple(open_ones)
        fresh.add(new.id)
    return waiting or NOBODY


def orphaned(parent: Job) -> Raw:
    """Why a job ends that waits for one that is over and not done."""
    message = f"waits for a job that was {parent.status.value}: {parent.id}"
    return Raw(msgspec.json.encode({"type": "ParentNotCompleted", "message": message}))
