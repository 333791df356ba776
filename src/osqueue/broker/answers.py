"""From the model's outcomes to the messages of the wire."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw

from osqueue.errors import (
    BrokerProtocolError,
    EngineStateError,
    JobIdConflictError,
    JobNotFoundError,
    JobStateError,
    LeaseLostError,
    OsqueueError,
    OverloadedError,
    ScheduleNotFoundError,
)
from osqueue.model.failures import earlier_of
from osqueue.model.job import JobStatus
from osqueue.model.outcomes import (
    ArchiveBehind,
    BadCursor,
    Counts,
    Done,
    Grant,
    IdConflict,
    JobView,
    LeaseLost,
    Leaving,
    NoSchedule,
    NotFound,
    NotWaiting,
    Outcome,
    Page,
    PayloadOutdated,
    SchedulesFull,
    StateFull,
)
from osqueue.wire.errors import error_body
from osqueue.wire.messages import (
    ClaimedJob,
    JobAnswer,
    JobError,
    JobInfo,
    JobsPage,
    Progress,
    Stats,
)
from osqueue.wire.schedules import SchedulesPage

__all__ = [
    "claimed",
    "hide_payloads",
    "job_answer",
    "job_info",
    "page",
    "progress",
    "refusal",
    "stats",
    "whole_job_info",
]


def claimed(grant: Grant, text: bytes | None = None) -> ClaimedJob:
    """A job handed out. ``text``: its payload, when that is an object of its own."""
    return ClaimedJob(
        job_id=grant.id,
        payload=grant.payload if text is None else Raw(text),
        type=grant.type or UNSET,
        lease=grant.lease,
        attempt=grant.attempt,
        max_attempts=grant.max_attempts,
        created_at=grant.created_at,
        priority=grant.priority,
        traceparent=UNSET if grant.traceparent is None else grant.traceparent,
        timeout_ms=UNSET if grant.terms.timeout_ms is None else grant.terms.timeout_ms,
        keep_result=grant.terms.keep_result or UNSET,
    )


def job_info(view: JobView) -> JobInfo:
    """A job for observers; what is not known of it is left out."""
    return JobInfo(
        id=view.id,
        status=view.status,
        payload=view.payload,
        type=view.type or UNSET,
        worker_id=UNSET if view.worker_id is None else view.worker_id,
        created_at=UNSET if view.created_at is None else view.created_at,
        attempts=UNSET if view.attempts is None else view.attempts,
        max_attempts=UNSET if view.created_at is None else view.max_attempts or 0,
        heartbeat=UNSET if view.created_at is None else view.heartbeat or 0,
        priority=view.priority,
        run_at=view.run_at,
        last_error=None if view.last_error is UNSET else _job_error(view.last_error),
        ended_at=view.ended_at,
        payload_bytes=None if view.large is None else view.large.size,
        retry=view.terms.retry,
        timeout_ms=view.terms.timeout_ms,
        keep_result=view.terms.keep_result,
        result=view.result,
        progress=progress(view.progress),
    )


def whole_job_info(view: JobView) -> JobInfo:
    """The same with all failures that are kept: too much for a listing."""
    info = job_info(view)
    info.errors = [_job_error(text) for text in earlier_of(view.earlier)]
    if info.last_error is not None:
        info.errors.append(info.last_error)
    return info


def hide_payloads(answer: object) -> None:
    """Leave payloads and results out of an answer, whose jobs are nobody else's."""
    if isinstance(answer, SchedulesPage):
        for schedule in answer.schedules:
            schedule.hide_payload()
        return
    jobs = [answer] if isinstance(answer, JobInfo) else getattr(answer, "jobs", ())
    for info in jobs:
        if isinstance(info, JobInfo):
            info.hide_payload()


def progress(text: Raw | None) -> Progress | None:
    """How far a worker says that it is."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Progress)
    except msgspec.DecodeError:  # of another implementation, which may mean something else
        return None


def stats(counts: Counts, address: str) -> Stats:
    """The counts."""
    return Stats(
        total=counts.unclaimed + counts.in_progress,
        unclaimed=counts.unclaimed,
        in_progress=counts.in_progress,
        completed_total=counts.completed_total,
        broker_address=counts.broker or address,
        delayed=counts.delayed,
        dead=counts.dead,
        dead_total=counts.dead_total,
        paused=counts.paused,
    )


def page(found: Page, address: str) -> JobsPage:
    """The counts and a page of jobs."""
    totals = stats(found.counts, address)
    return JobsPage(
        **msgspec.structs.asdict(totals),
        jobs=[job_info(view) for view in found.jobs],
        next_cursor=found.next_cursor,
    )


def job_answer(job_id: str, outcome: Outcome) -> JobAnswer:
    """What became of one job of a batch."""
    if isinstance(outcome, Done):
        return JobAnswer(job_id=job_id)
    return JobAnswer(job_id=job_id, error=error_body(refusal(outcome)))


def refusal(outcome: Outcome | None) -> OsqueueError:  # noqa: C901, PLR0911 - one flat table
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
        case NoSchedule(name):
            return ScheduleNotFoundError(f"there is no schedule {name!r}")
        case SchedulesFull(number_max):
            return BrokerProtocolError(f"there are {number_max} schedules, the most; drop one")
        case BadCursor():
            stale = "`cursor` belongs to an earlier listing"
            return BrokerProtocolError(f"{stale}; begin again without a cursor")
        case _:
            raise AssertionError(f"no refusal: {outcome!r}")


def _instead(status: str) -> str:
    """What a job is that does not wait, and what to do about it."""
    match status:
        case JobStatus.IN_PROGRESS:
            return "held by a worker; only a job that waits can be moved"
        case JobStatus.DEAD:
            return "dead; queue it again first"
        case _:
            return f"over: {status}"


def _job_error(raw: msgspec.Raw) -> JobError:
    try:
        return msgspec.json.decode(raw, type=JobError)
    except msgspec.DecodeError:
        return JobError(type="Unknown", message=bytes(raw).decode(errors="replace"))
