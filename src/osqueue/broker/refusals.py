"""What the model refuses, as the errors that callers get: one flat table."""

from __future__ import annotations

from osqueue.errors import (
    BrokerProtocolError,
    EngineStateError,
    JobIdConflictError,
    JobNotFoundError,
    JobStateError,
    LeaseLostError,
    OsqueueError,
    OverloadedError,
    ParentJobError,
    ScheduleNotFoundError,
)
from osqueue.model.job import JobStatus
from osqueue.model.outcomes import (
    ArchiveBehind,
    BadCursor,
    IdConflict,
    LeaseLost,
    Leaving,
    NoSchedule,
    NotFound,
    NotWaiting,
    Outcome,
    ParentMissing,
    PayloadOutdated,
    SchedulesFull,
    StateFull,
    TooManyChildren,
)

__all__ = ["refusal"]


def refusal(outcome: Outcome | None) -> OsqueueError:  # noqa: PLR0911 - one flat table
    """The typed error of a refusal."""
    match outcome:
        case NotFound(job_id, ended):
            over = f"job {job_id} is over: {ended}"
            return JobNotFoundError(over if ended else f"there is no job {job_id}")
        case NotWaiting(job_id, status):
            return JobStateError(f"job {job_id} is {_instead(status)}")
        case LeaseLost(job_id):
            return LeaseLostError(f"job {job_id} is not held under this lease or by this worker")
        case IdConflict(job_id):
            return JobIdConflictError(f"job {job_id} exists with another type or payload")
        case ParentMissing(job_id, parent, ended):
            return ParentJobError(_missing(job_id, parent, ended))
        case TooManyChildren(parent, children_max):
            full = f"{children_max} jobs wait for job {parent}, which is as many as may"
            return ParentJobError(
                f"{full}; have a job in between wait for it, and the rest for that"
            )
        case NoSchedule(name):
            return ScheduleNotFoundError(f"there is no schedule {name!r}")
        case SchedulesFull(number_max):
            return BrokerProtocolError(f"there are {number_max} schedules, the most; drop one")
        case BadCursor():
            stale = "`cursor` belongs to an earlier listing"
            return BrokerProtocolError(f"{stale}; begin again without a cursor")
        case _:
            return _not_now(outcome)


def _not_now(outcome: Outcome | None) -> OsqueueError:
    """The typed error of a refusal that will not last."""
    match outcome:
        case PayloadOutdated():
            again = "this broker has begun to lead anew while the payload was being stored"
            return EngineStateError(f"{again}; nothing was applied, send it again")
        case StateFull(bytes_max):
            full = f"the queue has reached its bound of {bytes_max} bytes"
            return OverloadedError(f"{full}; try again when jobs have been completed")
        case ArchiveBehind(bytes_max):
            behind = f"more than {bytes_max} bytes of ended jobs wait for the archive"
            return OverloadedError(f"{behind}, which cannot be written; try again later")
        case Leaving(job_id):
            return OverloadedError(f"job {job_id} is on its way to the archive; try again")
        case _:
            raise AssertionError(f"no refusal: {outcome!r}")


def _missing(job_id: str, parent: str, ended: str | None) -> str:
    """Why a job cannot wait for another, and what to do about it."""
    if ended is not None:
        return f"job {job_id} is to run after {parent}, which is over: {ended}"
    unknown = f"job {job_id} is to run after {parent}, which is not known, or no longer"
    return f"{unknown}; submit a workflow's jobs in one batch, parents first"


def _instead(status: str) -> str:
    """What a job is that does not wait, and what to do about it."""
    match status:
        case JobStatus.IN_PROGRESS:
            return "held by a worker; only a job that waits can be moved"
        case JobStatus.DEAD:
            return "dead; queue it again first"
        case _:
            return f"over: {status}"
