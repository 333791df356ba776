"""The jobs that a worker holds, and what each is going through. Pure.

Law: handlers that run and jobs that are asked for never exceed the concurrency. A job takes its
slot with the claim and gives it back when its handler has ended, not when it was told to end.
What is held is kept by heartbeats until the broker has taken its report: a finished job left out
of the list would be taken for an orphan and run again.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto
from typing import Final

import msgspec

from osqueue.client.models import Job
from osqueue.config import BATCH_JOBS_MAX

__all__ = ["LeaseBook", "Stage"]


class Stage(Enum):
    """Where a job stands. It leaves the book from any of them."""

    RUNNING = auto()
    """Its handler runs."""
    REPORTING = auto()
    """Its handler has ended; the broker has not taken the report yet."""
    LOST = auto()
    """Its lease is gone; its handler was told to end."""
    WITHDRAWN = auto()
    """The worker stops; its handler was told to end, and the job will be released."""


_SLOTTED: Final = frozenset({Stage.RUNNING, Stage.LOST, Stage.WITHDRAWN})
_HELD: Final = frozenset({Stage.RUNNING, Stage.REPORTING, Stage.WITHDRAWN})


class _Entry(msgspec.Struct):
    job: Job
    stage: Stage


class LeaseBook:
    """Slots and leases of one worker."""

    def __init__(self, concurrency: int, *, finishing_max: int) -> None:
        self._concurrency = concurrency
        self._finishing_max = finishing_max
        self._entries: dict[str, _Entry] = {}
        self._count = dict.fromkeys(Stage, 0)
        self._asked = 0

    @property
    def running(self) -> int:
        """Slots taken by handlers."""
        return sum(self._count[stage] for stage in _SLOTTED)

    @property
    def free(self) -> int:
        """Jobs that may be asked for now, in one claim."""
        if self._count[Stage.REPORTING] >= self._finishing_max:
            return 0
        return min(self._concurrency - self.running - self._asked, BATCH_JOBS_MAX)

    @property
    def holds_any(self) -> bool:
        """Whether there is a lease to keep."""
        return any(self._count[stage] for stage in _HELD)

    def held(self) -> list[Job]:
        """The jobs whose leases are to be kept: all that this worker holds.

        A job claimed again while its older lease is still being reported is named once, by the
        newer lease: the older one is dead, and a broker refuses a list with doubles.
        """
        held = (entry.job for entry in self._entries.values() if entry.stage in _HELD)
        return list({job.job_id: job for job in held}.values())

    def ask(self) -> int:
        """Reserve all free slots for a claim."""
        count = self.free
        self._asked += count
        return count

    def answered(self, asked: int, jobs: Iterable[Job]) -> list[Job]:
        """Take the jobs of a claim that asked for so many; answers those that are to run.

        A job already held, and one beyond what was asked for, is not: concurrency is kept here,
        not by the broker.
        """
        self._asked -= asked
        new = [job for job in jobs if job.lease not in self._entries][:asked]
        for job in new:
            self._entries[job.lease] = _Entry(job, Stage.RUNNING)
            self._count[Stage.RUNNING] += 1
        return new

    def ended(self, job: Job) -> bool:
        """The handler has ended; answers whether its outcome is to be reported."""
        return self._move(job, Stage.REPORTING)

    def lose(self, job: Job) -> bool:
        """The lease is lost; answers whether there is a handler to end."""
        return self._move(job, Stage.LOST)

    def withdraw(self) -> list[Job]:
        """The worker stops: answers the jobs whose handlers are to end."""
        running = [each.job for each in self._entries.values() if each.stage is Stage.RUNNING]
        return [job for job in running if self._move(job, Stage.WITHDRAWN)]

    def close(self, job: Job) -> None:
        """Forget a job: it is reported, released, or nothing more can be done."""
        entry = self._entries.pop(job.lease, None)
        if entry is not None:
            self._count[entry.stage] -= 1

    def _move(self, job: Job, stage: Stage) -> bool:
        """From RUNNING to ``stage``: all moves inside the book begin there."""
        entry = self._entries.get(job.lease)
        if entry is None or entry.stage is not Stage.RUNNING:
            return False
        self._count[entry.stage] -= 1
        self._count[stage] += 1
        entry.stage = stage
        return True
