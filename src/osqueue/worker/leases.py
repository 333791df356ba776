"""The jobs that a worker holds, and what each is going through. Pure.

Laws: handlers that run, jobs that wait for a slot and jobs that are asked for never exceed the
concurrency and what may be held ahead of it; those of a type never exceed that type's limit. A job
gives its slot back when its handler has ended, not when it was told to end. What is held is kept by
heartbeats until the broker has taken its report: a finished job left out of the list would be taken
for an orphan and run again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from enum import StrEnum, auto
from typing import Final

import msgspec

from osqueue.client.models import Job
from osqueue.config import BATCH_JOBS_MAX

__all__ = ["Ask", "LeaseBook", "Limits", "Stage"]


class Stage(StrEnum):
    """Where a job stands."""

    WAITING = auto()
    """Claimed ahead: there is no slot for it yet."""
    RUNNING = auto()
    """Its handler runs."""
    OVERDUE = auto()
    """Its handler was told to end and has not; its failure is reported meanwhile."""
    WITHDRAWN = auto()
    """The worker stops; its handler was told to end, and the job will be released."""
    LOST = auto()
    """Its lease is gone, or reported; its handler was told to end, and has not."""
    REPORTING = auto()
    """Its handler has ended; the broker has not taken the report, or the release, yet."""


class _Move(StrEnum):
    START = auto()
    END = auto()
    TELL = auto()
    LOSE = auto()
    WITHDRAW = auto()
    CLOSE = auto()


_MOVES: Final[Mapping[tuple[Stage, _Move], Stage | None]] = {
    (Stage.WAITING, _Move.START): Stage.RUNNING,
    (Stage.WAITING, _Move.LOSE): None,
    (Stage.WAITING, _Move.WITHDRAW): Stage.REPORTING,
    (Stage.RUNNING, _Move.END): Stage.REPORTING,
    (Stage.RUNNING, _Move.TELL): Stage.OVERDUE,
    (Stage.RUNNING, _Move.LOSE): Stage.LOST,
    (Stage.RUNNING, _Move.WITHDRAW): Stage.WITHDRAWN,
    (Stage.OVERDUE, _Move.END): Stage.REPORTING,
    (Stage.OVERDUE, _Move.CLOSE): Stage.LOST,
    (Stage.WITHDRAWN, _Move.END): Stage.REPORTING,
    (Stage.WITHDRAWN, _Move.CLOSE): Stage.LOST,
    (Stage.LOST, _Move.END): None,
    (Stage.REPORTING, _Move.CLOSE): None,
}
"""Where each move leads to, ``None`` out of the book; a move that is not here does nothing."""

_SLOTTED: Final = (Stage.RUNNING, Stage.OVERDUE, Stage.WITHDRAWN, Stage.LOST)
_HELD: Final = (
    Stage.WAITING,
    Stage.RUNNING,
    Stage.OVERDUE,
    Stage.WITHDRAWN,
    Stage.REPORTING,
)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much a worker takes on."""

    concurrency: int
    """Handlers that run at once."""
    ahead: int = 0
    """Jobs held beyond those."""
    by_type: Mapping[str, int] = {}
    """Jobs of a type, running and held ahead."""
    only_limited: bool = False
    """Whether the worker has no types but those of ``by_type``."""
    reporting_max: int
    """Reports that are not taken yet; beyond it nothing is claimed."""


class Ask(msgspec.Struct, frozen=True):
    """What a claim may bring: so many jobs, and of the types that are limited no more than this."""

    count: int
    by_type: Mapping[str, int]


class _Entry(msgspec.Struct):
    job: Job
    stage: Stage


class LeaseBook:
    """Slots and leases of one worker."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._entries: dict[str, _Entry] = {}
        self._waiting: deque[_Entry] = deque()
        self._count = dict.fromkeys(Stage, 0)
        self._taken = Counter[str]()
        """Of the types that are limited, how many run or wait."""
        self._asked = 0

    # What there is

    def __len__(self) -> int:
        """Jobs in the book."""
        return len(self._entries)

    @property
    def running(self) -> int:
        """Slots taken by handlers."""
        count = self._count
        return sum([count[stage] for stage in _SLOTTED])

    @property
    def free(self) -> int:
        """Jobs that may be asked for now, in one claim."""
        limits, count = self._limits, self._count
        if count[Stage.REPORTING] >= limits.reporting_max:
            return 0
        taken = self.running + count[Stage.WAITING] + self._asked
        free = min(limits.concurrency + limits.ahead - taken, BATCH_JOBS_MAX)
        if limits.only_limited and free > 0:
            free = min(free, sum(self._room().values()) - self._asked)
        return max(0, free)

    @property
    def holds_any(self) -> bool:
        """Whether there is a lease to keep."""
        return any(self._count[stage] for stage in _HELD)

    def held(self) -> list[Job]:
        """The jobs whose leases are to be kept: all that this worker holds.

        A job claimed again while its older lease is still being reported is named once, by the
        newer lease: the older one is dead, and a broker refuses a list with doubles.
        """
        held = (entry.job for entry in self._entries.values() if entry.stage is not Stage.LOST)
        return list({job.job_id: job for job in held}.values())

    # Claims

    def ask(self) -> Ask:
        """Reserve all that is free for a claim."""
        ask = Ask(self.free, self._room())
        self._asked += ask.count
        return ask

    def outgrown(self, ask: Ask) -> bool:
        """Whether there is room by now for a type that a claim has left out."""
        if all(ask.by_type.values()):
            return False
        room = self._room()
        return any(room[job_type] and not left for job_type, left in ask.by_type.items())

    def answered(self, ask: Ask, jobs: Iterable[Job]) -> list[Job]:
        """Take the jobs that a claim has brought; answers those beyond what was asked for: limits
        are kept here, not by the broker.
        """
        self._asked -= ask.count
        left, surplus = ask.count, list[Job]()
        for job in jobs:
            if job.lease in self._entries:
                continue  # it is held already
            if left and self._has_room(job.type):
                self._take(job)
                left -= 1
            else:
                surplus.append(job)
        return surplus

    # Handlers

    def start(self) -> list[Job]:
        """Give free slots to jobs that wait, first come first served; answers those."""
        started = list[Job]()
        slots = self._limits.concurrency - self.running
        while self._waiting and len(started) < slots:
            entry = self._waiting.popleft()
            if entry.job.lease in self._entries:  # it has not been lost meanwhile
                self._move(entry, _Move.START)
                started.append(entry.job)
        return started

    def ended(self, job: Job) -> bool:
        """The handler has ended; answers whether its outcome is to be reported."""
        entry = self._entries[job.lease]
        wanted = entry.stage is Stage.RUNNING
        self._move(entry, _Move.END)
        return wanted

    def tell(self, job: Job) -> bool:
        """The handler does not end though it should; answers whether that is to be reported."""
        return self._moved(job, _Move.TELL)

    def lose(self, job: Job) -> bool:
        """The lease is lost; answers whether there is a handler to end."""
        running = self.stage(job) is Stage.RUNNING
        return self._moved(job, _Move.LOSE) and running

    def withdraw(self) -> list[Job]:
        """The worker stops: answers the jobs whose handlers are to end."""
        return self._withdraw(Stage.RUNNING)

    def withdraw_waiting(self) -> list[Job]:
        """The worker stops: answers the jobs that have not begun."""
        self._waiting.clear()
        return self._withdraw(Stage.WAITING)

    def close(self, job: Job) -> None:
        """The broker has taken a job's report or release, or nothing more can be done."""
        self._moved(job, _Move.CLOSE)

    def stage(self, job: Job) -> Stage | None:
        """Where a job stands; ``None`` when it is not in the book."""
        entry = self._entries.get(job.lease)
        return None if entry is None else entry.stage

    def _withdraw(self, stage: Stage) -> list[Job]:
        entries = [entry for entry in self._entries.values() if entry.stage is stage]
        for entry in entries:
            self._move(entry, _Move.WITHDRAW)
        return [entry.job for entry in entries]

    def _take(self, job: Job) -> None:
        entry = self._entries[job.lease] = _Entry(job, Stage.WAITING)
        self._waiting.append(entry)
        self._count[Stage.WAITING] += 1
        if job.type in self._limits.by_type:
            self._taken[job.type] += 1

    def _moved(self, job: Job, move: _Move) -> bool:
        entry = self._entries.get(job.lease)
        return entry is not None and self._move(entry, move)

    def _move(self, entry: _Entry, move: _Move) -> bool:
        before = entry.stage
        if (before, move) not in _MOVES:
            return False
        after = _MOVES[before, move]
        self._count[before] -= 1
        if after is None:
            del self._entries[entry.job.lease]
        else:
            self._count[after] += 1
            entry.stage = after
        if after is None or after is Stage.REPORTING:
            self._leave(entry.job, before)
        return True

    def _leave(self, job: Job, before: Stage) -> None:
        """It takes nothing of its type's limit any more."""
        if before is not Stage.REPORTING and job.type in self._limits.by_type:
            self._taken[job.type] -= 1

    def _has_room(self, job_type: str) -> bool:
        limit = self._limits.by_type.get(job_type)
        return limit is None or self._taken[job_type] < limit

    def _room(self) -> dict[str, int]:
        """What is left of the types that are limited."""
        return {
            job_type: max(0, limit - self._taken[job_type])
            for job_type, limit in self._limits.by_type.items()
        }
