"""Looking at a queue without changing it."""

from __future__ import annotations

from osqueue.config import LIST_SCAN_MAX
from osqueue.model.job import END_STATUSES, Job, JobStatus, payload_of
from osqueue.model.ops import ListJobs
from osqueue.model.outcomes import BadCursor, JobView, NotFound, Page
from osqueue.model.state import QueueState

__all__ = ["job", "page", "view"]


def job(state: QueueState, job_id: str) -> JobView | NotFound:
    """A job by id, also one that ended a short while ago."""
    found = state.jobs.get(job_id) or state.ends.finished_job(job_id)
    if found is not None:
        return view(found)
    end = state.ends.end_of_job(job_id)
    if end is not None:
        return JobView(id=end.id, status=end.how, ended_at=end.at)
    return NotFound(job_id)


def page(state: QueueState, op: ListJobs) -> Page | BadCursor:
    """Jobs in the order of arrival, behind the cursor's place."""
    place = _place(state, op.cursor)
    if place is None:
        return BadCursor()
    views: list[JobView] = []
    for looked_at, found in enumerate(state.order.after(place)):
        if len(views) == op.limit or looked_at == LIST_SCAN_MAX:
            cursor = f"{state.generation}.{place}"
            return Page(state.totals(), tuple(views), cursor)
        place = found.seq
        if op.status in {None, found.status.value} and op.type in {None, found.type}:
            views.append(view(found))
    return Page(state.totals(), tuple(views), None)


def _place(state: QueueState, cursor: str | None) -> int | None:
    if cursor is None:
        return -1
    generation, _, place = cursor.rpartition(".")
    if generation != state.generation or not (place.isascii() and place.isdigit()):
        return None
    return int(place)


def view(found: Job) -> JobView:
    """A job as it stands."""
    return JobView(
        id=found.id,
        status=found.status.value,
        type=found.type,
        payload=payload_of(found),
        created_at=found.created_at,
        attempts=found.attempts,
        max_attempts=found.max_attempts,
        priority=found.priority,
        run_at=found.run_at,
        worker_id=found.worker_id,
        heartbeat=found.heartbeat if found.status is JobStatus.IN_PROGRESS else None,
        last_error=found.last_error,
        ended_at=found.ended_at if found.status in END_STATUSES else None,
        large=found.large,
    )
