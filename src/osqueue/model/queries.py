"""Looking at a queue without changing it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from msgspec.structs import replace

from osqueue.config import LIST_SCAN_MAX, OLDEST_SCAN_MAX, TYPES_KNOWN_MAX
from osqueue.model.job import END_STATUSES, Job, JobStatus, payload_of
from osqueue.model.ops import FindJobs, JobFilter, ListDead, ListEnded, ListJobs
from osqueue.model.outcomes import (
    BadCursor,
    DeadLetter,
    DeadLetters,
    EndedJobs,
    Found,
    JobView,
    NotFound,
    Page,
    Types,
)
from osqueue.model.search import Wanted, scan
from osqueue.model.state import QueueState

__all__ = [
    "Depths",
    "dead",
    "depths",
    "ended",
    "ended_view",
    "find",
    "job",
    "page",
    "types",
    "view",
]

_DEAD = JobFilter(JobStatus.DEAD.value)
_DOWNWARD = "-"
"""Marks the cursor of a listing that goes from the newest to the oldest."""


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
    paused: bool = False
    waiting: int = 0
    """Jobs that wait for other jobs."""


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
        paused=state.paused,
        waiting=state.waits.live,
    )


def _oldest_ready_ms(state: QueueState) -> int | None:
    if state.ready.live == 0:
        return None
    for found in islice(state.order, OLDEST_SCAN_MAX):
        ready = found.status is JobStatus.UNCLAIMED and found.run_at is None
        if ready and not found.waits:
            return found.created_at
    return min((head.created_at for head in state.ready.heads()), default=None)


def page(state: QueueState, op: ListJobs) -> Page | BadCursor:
    """Jobs in the order of arrival or in the reverse, behind the cursor's place."""
    jobs = _newer_first(state, op.cursor) if op.newest_first else _older_first(state, op.cursor)
    if jobs is None:
        return BadCursor()
    found, rest = scan(jobs, Wanted(op.wanted), limit=op.limit, work_max=LIST_SCAN_MAX)
    cursor = _cursor(state, rest, _DOWNWARD if op.newest_first else "")
    return Page(state.totals(), tuple(map(view, found)), cursor)


def types(state: QueueState) -> Types:
    """The types of jobs that are ready, and of those that came first, whatever they wait for."""
    names = state.ready.counts().keys() | {
        found.type for found in islice(state.order, LIST_SCAN_MAX)
    }
    return Types(tuple(islice(names - {""}, TYPES_KNOWN_MAX)))


def find(state: QueueState, op: FindJobs) -> Found | BadCursor:
    """The ids of jobs in the order of arrival, behind the cursor's place."""
    jobs = _older_first(state, op.cursor)
    if jobs is None:
        return BadCursor()
    found, rest = scan(jobs, Wanted(op.wanted), limit=op.limit, work_max=LIST_SCAN_MAX)
    return Found(tuple([each.id for each in found]), _cursor(state, rest))


def dead(state: QueueState, op: ListDead) -> DeadLetters | BadCursor:
    """Dead letters in the order of arrival, behind the cursor's place."""
    count = state.counts[JobStatus.DEAD]
    mark = f"{state.generation}.{state.dead_total}.{count}"
    if mark == op.unless or count == 0:
        return DeadLetters(mark, (), None)
    jobs = _older_first(state, op.cursor)
    if jobs is None:
        return BadCursor()
    found, rest = scan(jobs, Wanted(_DEAD), limit=op.limit, work_max=LIST_SCAN_MAX)
    letters = [DeadLetter(each.id, each.type, each.created_at, each.last_error) for each in found]
    return DeadLetters(mark, tuple(letters), _cursor(state, rest))


def ended(state: QueueState, op: ListEnded) -> EndedJobs:
    """Jobs that ended a short while ago, the last first."""
    ends = state.ends
    sealed = None if ends.outbox is None else ends.outbox.key
    first = None if op.first is None else ends.finished_job(op.first)
    if op.first is not None and first is None:
        return EndedJobs((), None, sealed, gone=True)
    jobs = ends.finished.before(None if first is None else first.seq + 1)
    found, rest = scan(jobs, Wanted(op.wanted), limit=op.limit, work_max=LIST_SCAN_MAX)
    return EndedJobs(tuple(map(ended_view, found)), None if rest is None else rest.id, sealed)


def _older_first(state: QueueState, cursor: str | None) -> Iterator[Job] | None:
    """Jobs in the order of arrival; ``None`` when the cursor is of another listing."""
    place = -1 if cursor is None else _place(state, cursor)
    return None if place is None else state.order.after(place)


def _newer_first(state: QueueState, cursor: str | None) -> Iterator[Job] | None:
    if cursor is None:
        return state.order.before(None)
    if not cursor.endswith(_DOWNWARD):
        return None
    place = _place(state, cursor.removesuffix(_DOWNWARD))
    return None if place is None else state.order.before(place)


def _place(state: QueueState, cursor: str) -> int | None:
    generation, _, place = cursor.rpartition(".")
    if generation != state.generation or not (place.isascii() and place.isdigit()):
        return None
    return int(place)


def _cursor(state: QueueState, rest: Job | None, direction: str = "") -> str | None:
    """What names the place before a job, in the direction of the listing."""
    if rest is None:
        return None
    place = rest.seq + 1 if direction else rest.seq - 1
    return f"{state.generation}.{place}{direction}"


def ended_view(found: Job) -> JobView:
    """A job that has left the queue: of a dead letter, too, it is told when."""
    return replace(view(found), ended_at=found.ended_at)


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
        after=found.after,
        waits_for=found.waits_for,
    )
