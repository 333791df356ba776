"""What can be asked of a queue, as plain data.

Ids, tokens and times come in with the operation: applying the same one again on the same base
changes the same things.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from osqueue.model.job import NO_TERMS, LargePayload, Terms, length_of
from osqueue.model.schedules import Schedule

__all__ = [
    "Act",
    "Cancel",
    "Change",
    "Claim",
    "Complete",
    "Drop",
    "DropSchedule",
    "Expire",
    "Fail",
    "FindJobs",
    "FireSchedule",
    "Forget",
    "GetJob",
    "GetPayloadKeys",
    "GetSchedule",
    "GetState",
    "GetStats",
    "GetTypes",
    "GetWorkflow",
    "Heartbeat",
    "JobFilter",
    "Lead",
    "LeaseRef",
    "ListDead",
    "ListEnded",
    "ListJobs",
    "ListSchedules",
    "NewJob",
    "Op",
    "Pause",
    "PauseSchedule",
    "PutSchedule",
    "Query",
    "Release",
    "Resign",
    "Resume",
    "ResumeSchedule",
    "Retry",
    "Seal",
    "SetPriority",
    "Share",
    "Submit",
    "Survey",
]


class NewJob(msgspec.Struct, frozen=True, gc=False):
    """A job to be. ``payload`` is checked JSON text; ``large`` names it where it is an object."""

    id: str
    type: str = ""
    payload: Raw | UnsetType = UNSET
    max_attempts: int | None = None
    priority: int = 0
    run_at: int | None = None
    large: LargePayload | None = None
    traceparent: str | None = None
    """Where it comes from; kept, and handed out with it."""
    terms: Terms = NO_TERMS
    after: tuple[str, ...] = ()
    """The jobs that have to be completed before; each stands before it in its batch, or is known.
    """

    @property
    def payload_bytes(self) -> int:
        if self.large is not None:
            return self.large.size
        return length_of(self.payload)


class LeaseRef(msgspec.Struct, frozen=True, gc=False):
    """A job, and the lease that the caller holds on it; older callers know no lease."""

    id: str
    lease: str | None = None


class Submit(msgspec.Struct, frozen=True, gc=False):
    """Add jobs: all or none. Ids already known add nothing.

    Payload objects must have been written under the epoch that applies this.
    """

    jobs: tuple[NewJob, ...]


class Claim(msgspec.Struct, frozen=True, gc=False):
    """Hand out up to ``max`` jobs. Leases are ``<lease_seed>-<n>``; the seed is never used again.

    A ``claim_id`` seen before gets the leases that it still holds. ``caps``: of these types at most
    so many; one with 0 is left out.
    """

    worker_id: str
    lease_seed: str
    types: tuple[str, ...] | None = None
    max: int = 1
    claim_id: str | None = None
    caps: tuple[tuple[str, int], ...] = ()


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    """Renew leases. ``complete_list``: the worker holds no others.

    ``progress``: of each, as bounded JSON text, or nothing of any.
    """

    worker_id: str
    refs: tuple[LeaseRef, ...]
    complete_list: bool = False
    progress: tuple[Raw | None, ...] = ()


class Complete(msgspec.Struct, frozen=True, gc=False):
    """End jobs as done, each for itself.

    ``results``: of each what it brought, as checked JSON text of a bounded size, or nothing of any.
    While those that wait for the archive are beyond the state's bound, none more are taken.
    """

    worker_id: str
    refs: tuple[LeaseRef, ...]
    results: tuple[Raw | UnsetType, ...] = ()


class Fail(msgspec.Struct, frozen=True, gc=False):
    """End an attempt as failed. ``error`` is bounded JSON text, an object that is not empty.

    It runs again after ``delay_ms``, by default as its own policy says.
    """

    worker_id: str
    ref: LeaseRef
    error: Raw
    retry: bool = True
    delay_ms: int | None = None


class Release(msgspec.Struct, frozen=True, gc=False):
    """Give leases back; the attempts do not count."""

    worker_id: str
    refs: tuple[LeaseRef, ...]


class Cancel(msgspec.Struct, frozen=True, gc=False):
    """End a job, whoever holds it; a dead letter is discarded."""

    id: str


class Retry(msgspec.Struct, frozen=True, gc=False):
    """Queue a dead letter again with all its attempts.

    ``archived``: its entry in the archive, for one that has left the state.
    """

    id: str
    archived: bytes | None = None


class SetPriority(msgspec.Struct, frozen=True, gc=False):
    """Let a job that waits come sooner or later: where it would be had it come with this one."""

    id: str
    priority: int


class Pause(msgspec.Struct, frozen=True, gc=False):
    """Hand out no more jobs. What is held goes on."""


class Resume(msgspec.Struct, frozen=True, gc=False):
    """Hand out jobs again."""


class JobFilter(msgspec.Struct, frozen=True, gc=False):
    """Which jobs are meant: those of which all that is said is true.

    ``status`` is one of a job, or ``ready``, ``delayed`` or ``waiting`` (for other jobs), which
    part the unclaimed ones. ``text`` stands, in upper or lower case, in the id, the type, the
    worker's id, or in the type or message of the last error.
    """

    status: str | None = None
    type: str | None = None
    text: str | None = None


class Act(msgspec.Struct, frozen=True, gc=False):
    """Do something to many jobs, each for itself; ``wanted``: only to those still meant."""

    each: tuple[Cancel | Retry | SetPriority, ...]
    wanted: JobFilter | None = None


class Expire(msgspec.Struct, frozen=True, gc=False):
    """Take back leases whose deadline has passed."""


class Forget(msgspec.Struct, frozen=True, gc=False):
    """Drop remembered ends that are older than the window."""


class Seal(msgspec.Struct, frozen=True, gc=False):
    """Fix the next batch for the archive, or answer the one that is fixed already.

    ``token`` is never used again: it makes the key of the batch's object unique.
    """

    token: str
    jobs_max: int
    bytes_max: int


class Drop(msgspec.Struct, frozen=True, gc=False):
    """The batch of this key stands in the archive: let go of its jobs' details."""

    key: str


class Lead(msgspec.Struct, frozen=True, gc=False):
    """Become the leader under a new epoch."""

    epoch: int
    broker: str
    broker_id: str
    heartbeat_every: int


class Share(msgspec.Struct, frozen=True, gc=False):
    """Go on from a version that nobody leads, as one of several writers.

    ``takes``: the place is taken by a commit of its own; otherwise the next change writes it down.
    """

    epoch: int
    writer: str
    takes: bool = False


class Resign(msgspec.Struct, frozen=True, gc=False):
    """Give leadership back."""


class GetJob(msgspec.Struct, frozen=True, gc=False):
    """Look at one job."""

    id: str


class GetWorkflow(msgspec.Struct, frozen=True, gc=False):
    """Look at the jobs around one. ``archived``: its entry in the archive, if it stands there."""

    id: str
    archived: bytes | None = None


class GetStats(msgspec.Struct, frozen=True, gc=False):
    """Look at the counts."""


class GetState(msgspec.Struct, frozen=True, gc=False):
    """Look at the whole state object."""


class ListJobs(msgspec.Struct, frozen=True, gc=False):
    """Look at a page of jobs in the order of arrival, or in the reverse; which: see `JobFilter`."""

    limit: int
    cursor: str | None = None
    status: str | None = None
    type: str | None = None
    text: str | None = None
    newest_first: bool = False

    @property
    def wanted(self) -> JobFilter:
        return JobFilter(self.status, self.type, self.text)


class FindJobs(msgspec.Struct, frozen=True, gc=False):
    """Look which jobs are meant, in the order of arrival."""

    limit: int
    cursor: str | None = None
    wanted: JobFilter = JobFilter()


class ListEnded(msgspec.Struct, frozen=True, gc=False):
    """Look at jobs that have ended and are not only in the archive, the last to end first.

    ``first``: from the job of this id on.
    """

    limit: int
    first: str | None = None
    wanted: JobFilter = JobFilter()


class ListDead(msgspec.Struct, frozen=True, gc=False):
    """Look at dead letters in the order of arrival. ``unless``: not if they are still these."""

    limit: int
    cursor: str | None = None
    unless: str | None = None


class GetTypes(msgspec.Struct, frozen=True, gc=False):
    """Look at which types jobs are of."""


class GetPayloadKeys(msgspec.Struct, frozen=True, gc=False):
    """Look at which payload objects are named."""


class Survey(msgspec.Struct, frozen=True, gc=False):
    """Look at how the queue stands as a whole, for those who watch it: bounded at any size.

    ``workers``: to be looked at first, beside others that hold jobs.
    """

    workers: tuple[str, ...] = ()


class PutSchedule(msgspec.Struct, frozen=True, gc=False):
    """Keep a schedule, new or in the place of the one of its name. The same again changes nothing.

    Its ``next_at`` counts where its times are other ones than before, or it was paused. ``paused``:
    ``None`` leaves that as it is.
    """

    schedule: Schedule
    paused: bool | None = None


class DropSchedule(msgspec.Struct, frozen=True, gc=False):
    """Forget a schedule. The jobs that it has submitted stay."""

    name: str


class PauseSchedule(msgspec.Struct, frozen=True, gc=False):
    """Let a schedule submit nothing until it is resumed."""

    name: str


class ResumeSchedule(msgspec.Struct, frozen=True, gc=False):
    """Let a schedule submit jobs again, from ``next_at`` on; its times until then are not made up
    for. If its times are not those of ``seen`` any more, it is shown as it is instead.
    """

    seen: Schedule
    next_at: int | None


class FireSchedule(msgspec.Struct, frozen=True, gc=False):
    """Submit the job of a schedule whose time ``at`` has come, and move on to ``next_at``.

    If another time is its next by now, this has been done, or is not wanted any more: nothing
    changes. ``submits``: false for a time that was missed, and is left out.
    """

    name: str
    at: int
    next_at: int | None
    job_id: str
    submits: bool = True


class GetSchedule(msgspec.Struct, frozen=True, gc=False):
    """Look at one schedule."""

    name: str


class ListSchedules(msgspec.Struct, frozen=True, gc=False):
    """Look at a page of schedules by name, those after ``after``."""

    limit: int
    after: str = ""


Change: TypeAlias = (
    Submit
    | Claim
    | Complete
    | Heartbeat
    | Fail
    | Release
    | Cancel
    | Retry
    | Act
    | Pause
    | Resume
    | SetPriority
    | Expire
    | Forget
    | Seal
    | Drop
    | Lead
    | Share
    | Resign
    | PutSchedule
    | DropSchedule
    | PauseSchedule
    | ResumeSchedule
    | FireSchedule
)
Query: TypeAlias = (
    GetJob
    | GetWorkflow
    | GetStats
    | GetState
    | ListJobs
    | FindJobs
    | ListEnded
    | ListDead
    | GetTypes
    | GetPayloadKeys
    | Survey
    | GetSchedule
    | ListSchedules
)
Op: TypeAlias = Change | Query
