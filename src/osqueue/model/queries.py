"""Looking at a queue without changing it."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from osqueue.config import LIST_SCAN_MAX, TYPES_KNOWN_MAX
from osqueue.model.job import END_STATUSES, Job, JobStatus, payload_of
from osqueue.model.ops import ListJobs
from osqueue.model.outcomes import BadCursor, JobView, NotFound, Page, Types
from osqueue.model.state import QueueState

__all__ = ["Depths", "depths", "job", "page", "types", "view"]


class Depths(NamedTuple):
    """How full a queue is, and how long its jobs wait."""

    ready: int
    delayed: int
    in_progress: int
    dead: int
    completed_total: int
    dead_total: int
    ready_by_type: dict[str, int]
    oldest_ready_ms: int | None
    """When the job was submitted that has been ready to be claimed for longest; ``None``: there is
    none. In a queue whose oldest jobs are nearly all held or delayed, the oldest of those that are
    next of their types."""


def job(state: QueueState, job_id: str) -> JobView | NotFound:
    """A job by id, also one that ended a short while ago."""
    found = state.jobs.get(job_id) or state.ends.finished_job(job_id)
    if found is not None:
        return view(found)
    end = state.ends.end_of_job(job_id)
    if end is not None:
        return JobView(id=end.id, status=end.how, ended_at=end.at)
    return NotFound(job_id)


def depths(state: QueueState, wall_ms: int) -> Depths:
    """The figures at this moment; jobs whose delay has ended are ready."""
    state.promote_due(wall_ms)
    return Depths(
        ready=state.ready.live,
        delayed=state.delayed.live,
        in_progress=state.counts[JobStatus.IN_PROGRESS],
        dead=state.counts[JobStatus.DEAD],
        completed_total=state.completed_total,
        dead_total=state.dead_total,
        ready_by_type=state.ready.counts(),
        oldest_ready_ms=_oldest_ready_ms(state),
    )


def _oldest_ready_ms(state: QueueState) -> int | None:
    if state.ready.live == 0:
        return None
    for found in islice(state.order, LIST_SCAN_MAX):
        if found.status is JobStatus.UNCLAIMED and found.run_at is None:
            return found.created_at
    return min((head.created_at for head in state.ready.heads()), default=None)


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


def types(state: QueueState) -> Types:
    """The types of jobs that are ready, and of those that came first, whatever they wait for."""
    names = state.ready.counts().keys() | {
        found.type for found in islice(state.order, LIST_SCAN_MAX)
    }
    return Types(tuple(islice(names - {""}, TYPES_KNOWN_MAX)))


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
        earlier=found.earlier,
        terms=found.terms,
        progress=found.progress,
        result=found.result,
    )
