"""From the model's outcomes to the messages of the wire."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import UNSET, Raw

from osqueue.broker.refusals import refusal
from osqueue.model.failures import earlier_of
from osqueue.model.outcomes import (
    Counts,
    Done,
    Grant,
    JobView,
    Outcome,
    Page,
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
    "leave_out_payloads",
    "page",
    "progress",
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
        after=[*view.after],
        waits_for=[*view.waits_for],
    )


def whole_job_info(view: JobView) -> JobInfo:
    """The same with all failures that are kept: too much for a listing."""
    info = job_info(view)
    info.errors = [_job_error(text) for text in earlier_of(view.earlier)]
    if info.last_error is not None:
        info.errors.append(info.last_error)
    return info


def leave_out_payloads(jobs: Iterable[JobInfo]) -> None:
    """Without payloads and results, as somebody asked for it who knows that."""
    for info in jobs:
        info.payload = info.result = UNSET


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
        waiting=counts.waiting,
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


def _job_error(raw: msgspec.Raw) -> JobError:
    try:
        return msgspec.json.decode(raw, type=JobError)
    except msgspec.DecodeError:
        return JobError(type="Unknown", message=bytes(raw).decode(errors="replace"))
