"""The typed answers of operations. An outcome is final data: later changes do not touch it."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from osqueue.model.job import NO_TERMS, LargePayload, Terms
from osqueue.model.schedules import Schedule

__all__ = [
    "ActOutcome",
    "Acted",
    "ArchiveBehind",
    "BadCursor",
    "Claimed",
    "Counts",
    "DeadLetter",
    "DeadLetters",
    "Done",
    "EndedJobs",
    "Found",
    "Grant",
    "Holding",
    "IdConflict",
    "JobView",
    "LeaseLost",
    "Leaving",
    "NoSchedule",
    "NotFound",
    "NotWaiting",
    "Outcome",
    "Page",
    "ParentMissing",
    "PayloadKeys",
    "PayloadOutdated",
    "RefOutcome",
    "Results",
    "ScheduleKept",
    "SchedulePage",
    "SchedulesFull",
    "Sealed",
    "StateFull",
    "Submitted",
    "Surveyed",
    "TooManyChildren",
    "TypeDepth",
    "Types",
    "WorkerView",
    "Workflow",
    "WorkflowJob",
]


class Submitted(msgspec.Struct, frozen=True, gc=False):
    """All jobs are known; ``added`` of them are new.

    ``unused``: keys of payload objects that no job took, since its id was known.
    """

    added: int
    unused: tuple[str, ...] = ()


class IdConflict(msgspec.Struct, frozen=True, gc=False):
    """Refused: this id names a job of another type or payload."""

    id: str


class ParentMissing(msgspec.Struct, frozen=True, gc=False):
    """Refused: the job is to run after one that is not known, or (``ended``) over and not done."""

    id: str
    parent: str
    ended: str | None = None


class TooManyChildren(msgspec.Struct, frozen=True, gc=False):
    """Refused: as many jobs wait for this one as may."""

    parent: str
    children_max: int


class PayloadOutdated(msgspec.Struct, frozen=True, gc=False):
    """Refused: the payload object was written under another epoch, and could be swept away."""

    key: str


class PayloadKeys(msgspec.Struct, frozen=True, gc=False):
    """The keys of all payload objects that jobs name."""

    keys: frozenset[str]


class StateFull(msgspec.Struct, frozen=True, gc=False):
    """Refused: the state would pass its bound."""

    bytes_max: int


class ArchiveBehind(msgspec.Struct, frozen=True, gc=False):
    """Refused: ended jobs wait for the archive beyond their bound."""

    bytes_max: int


class Sealed(msgspec.Struct, frozen=True, gc=False):
    """The batch that goes to the archive under ``key``, as JSON Lines."""

    key: str
    data: bytes
    jobs: int


class Grant(msgspec.Struct, frozen=True, gc=False):
    """A job handed out."""

    id: str
    type: str
    payload: Raw | UnsetType
    lease: str
    attempt: int
    max_attempts: int
    created_at: int
    priority: int
    large: LargePayload | None = None
    traceparent: str | None = None
    terms: Terms = NO_TERMS


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """The jobs of a claim; empty when there is nothing to do."""

    grants: tuple[Grant, ...]


class Done(msgspec.Struct, frozen=True, gc=False):
    """It is so, now or already."""


class NotFound(msgspec.Struct, frozen=True, gc=False):
    """Refused: no such job, or (``ended``) one that is over."""

    id: str
    ended: str | None = None


class NotWaiting(msgspec.Struct, frozen=True, gc=False):
    """Refused: the job does not wait to be claimed. ``status`` is what it is instead."""

    id: str
    status: str


class LeaseLost(msgspec.Struct, frozen=True, gc=False):
    """Refused: the caller does not hold the job."""

    id: str


class Leaving(msgspec.Struct, frozen=True, gc=False):
    """Refused: the dead letter is on its way to the archive; it can be queued again from there."""

    id: str


RefOutcome: TypeAlias = Done | NotFound | LeaseLost


class Results(msgspec.Struct, frozen=True, gc=False):
    """One answer per job of a batch."""

    each: tuple[RefOutcome, ...]


ActOutcome: TypeAlias = Done | NotFound | NotWaiting | Leaving | StateFull


class Acted(msgspec.Struct, frozen=True, gc=False):
    """One answer per job; ``None`` of one that is not meant any more."""

    each: tuple[ActOutcome | None, ...]


class Counts(msgspec.Struct, frozen=True, gc=False):
    """How many jobs there are, by state; ``delayed`` and ``waiting`` are among ``unclaimed``."""

    unclaimed: int
    in_progress: int
    dead: int
    delayed: int
    completed_total: int
    dead_total: int
    broker: str | None
    paused: bool = False
    waiting: int = 0
    """Those that wait for other jobs."""


class JobView(msgspec.Struct, frozen=True, gc=False):
    """A job as it stood. What is not known any more of an ended job is ``None``."""

    id: str
    status: str
    type: str | None = None
    payload: Raw | UnsetType = UNSET
    created_at: int | None = None
    attempts: int | None = None
    max_attempts: int | None = None
    priority: int = 0
    run_at: int | None = None
    worker_id: str | None = None
    heartbeat: int | None = None
    last_error: Raw | UnsetType = UNSET
    ended_at: int | None = None
    large: LargePayload | None = None
    earlier: bytes = b""
    """The failures before the last, as JSON texts with commas between."""
    terms: Terms = NO_TERMS
    progress: Raw | None = None
    result: Raw | UnsetType = UNSET
    after: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()


class WorkflowJob(NamedTuple):
    """A job of a workflow; ``type`` is ``None`` where it is not known any more."""

    id: str
    status: str
    type: str | None = None
    run_at: int | None = None
    waits: bool = False


class Workflow(msgspec.Struct, frozen=True, gc=False):
    """The jobs around one, which is the first. ``edges`` are (parent, child).

    ``more``: there are others that are connected with these.
    """

    jobs: tuple[WorkflowJob, ...]
    edges: tuple[tuple[str, str], ...]
    more: bool = False


class Page(msgspec.Struct, frozen=True, gc=False):
    """A page of jobs; ``next_cursor`` is ``None`` on the last."""

    counts: Counts
    jobs: tuple[JobView, ...]
    next_cursor: str | None


class TypeDepth(NamedTuple):
    """The jobs of one type."""

    ready: int
    in_progress: int
    dead: int


class Holding(NamedTuple):
    """A job that is held. ``since``: in ms since the epoch, as far as this process knows."""

    id: str
    type: str
    since: int
    progress: Raw | None


class WorkerView(NamedTuple):
    """A worker, and what it holds. ``seen_at``: its last sign of life for any of that."""

    id: str
    seen_at: int | None
    held: int
    jobs: tuple[Holding, ...]
    """Of many, those that it has held for longest."""


class Surveyed(msgspec.Struct, frozen=True, gc=False):
    """How the queue stands. Of very many types and workers, only so many are told apart."""

    counts: Counts
    paused: bool
    oldest_ready_ms: int | None
    types: dict[str, TypeDepth]
    others: TypeDepth
    """All jobs of the types that are not told apart."""
    workers: tuple[WorkerView, ...]


class Types(msgspec.Struct, frozen=True, gc=False):
    """Job types that there are jobs of, in no order; of very many, some."""

    names: tuple[str, ...]


class Found(msgspec.Struct, frozen=True, gc=False):
    """The ids of the jobs that are meant; ``next_cursor`` is ``None`` when these are all."""

    ids: tuple[str, ...]
    next_cursor: str | None


class EndedJobs(msgspec.Struct, frozen=True, gc=False):
    """Jobs that have ended; ``next_id`` is that of the next to look at, if there is one here.

    ``gone``: the first is not here any more. ``sealed``: the batch whose jobs are all still here,
    though it may be in the archive already.
    """

    jobs: tuple[JobView, ...]
    next_id: str | None
    sealed: str | None
    gone: bool = False


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A dead letter and why it is one."""

    id: str
    type: str
    created_at: int
    error: Raw | UnsetType


class DeadLetters(msgspec.Struct, frozen=True, gc=False):
    """Some dead letters. ``mark`` names the whole of them; while it is the same, so are they."""

    mark: str
    letters: tuple[DeadLetter, ...]
    next_cursor: str | None


class BadCursor(msgspec.Struct, frozen=True, gc=False):
    """Refused: the cursor is of another listing."""


class ScheduleKept(msgspec.Struct, frozen=True, gc=False):
    """A schedule as it stands."""

    schedule: Schedule


class SchedulePage(msgspec.Struct, frozen=True, gc=False):
    """Some schedules, by name. ``more``: there are others after the last."""

    schedules: tuple[Schedule, ...]
    more: bool


class NoSchedule(msgspec.Struct, frozen=True, gc=False):
    """Refused: there is no schedule of this name."""

    name: str


class SchedulesFull(msgspec.Struct, frozen=True, gc=False):
    """Refused: there are as many schedules as may be."""

    number_max: int


Outcome: TypeAlias = (
    Submitted
    | IdConflict
    | StateFull
    | ParentMissing
    | TooManyChildren
    | PayloadOutdated
    | PayloadKeys
    | ArchiveBehind
    | Sealed
    | Claimed
    | Done
    | NotFound
    | NotWaiting
    | LeaseLost
    | Leaving
    | Results
    | Counts
    | JobView
    | Workflow
    | Page
    | Acted
    | DeadLetters
    | EndedJobs
    | Found
    | Types
    | BadCursor
    | Surveyed
    | ScheduleKept
    | SchedulePage
    | NoSchedule
    | SchedulesFull
)
