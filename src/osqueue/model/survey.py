"""How a queue stands as a whole: its counts, types and workers, at a bounded cost at any size.

It is looked at several times a second while somebody watches, so nothing is counted here that the
state does not count already, and of types and workers only so many are looked at. Which they are is
the same from one look to the next, as long as they go on having jobs.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest
from itertools import chain, islice

from osqueue.config import (
    OVERVIEW_JOBS_MAX,
    OVERVIEW_TYPES_MAX,
    OVERVIEW_WORKER_JOBS_MAX,
    OVERVIEW_WORKERS_MAX,
    SURVEY_LOOKS_MAX,
)
from osqueue.model.job import JobStatus
from osqueue.model.ops import Survey
from osqueue.model.outcomes import Holding, Surveyed, TypeDepth, WorkerView
from osqueue.model.state import QueueState

__all__ = ["survey"]


def survey(state: QueueState, op: Survey) -> Surveyed:
    """The figures at this moment. Delays that have ended must be over."""
    types = _types(state)
    return Surveyed(
        counts=state.totals(),
        paused=state.paused,
        oldest_ready_ms=_oldest_ready_ms(state),
        types=types,
        others=_others(state, types.values()),
        workers=_workers(state, op),
    )


def _oldest_ready_ms(state: QueueState) -> int | None:
    """When the job was submitted that is next of its type, of all the oldest."""
    heads = islice(state.ready.heads(), SURVEY_LOOKS_MAX)
    return min((head.created_at for head in heads), default=None)


def _types(state: QueueState) -> dict[str, TypeDepth]:
    """The types with the most jobs, of those that are looked at."""
    places = (state.ready.types(), state.leases.types, state.dead_types)
    looked_at = dict.fromkeys(
        chain.from_iterable(islice(each, SURVEY_LOOKS_MAX) for each in places)
    )
    if len(looked_at) > OVERVIEW_TYPES_MAX:
        ready, held, dead = state.ready.count, state.leases.types.get, state.dead_types.get
        totals = [(ready(type_) + held(type_, 0) + dead(type_, 0), type_) for type_ in looked_at]
        looked_at = dict.fromkeys(type_ for _, type_ in nlargest(OVERVIEW_TYPES_MAX, totals))
    return {type_: _depth(state, type_) for type_ in looked_at}


def _depth(state: QueueState, type_: str) -> TypeDepth:
    return TypeDepth(
        state.ready.count(type_), state.leases.types.get(type_, 0), state.dead_types.get(type_, 0)
    )


def _others(state: QueueState, known: Iterable[TypeDepth]) -> TypeDepth:
    """What is left of all jobs."""
    ready, running, dead = (sum(each) for each in zip(*known, strict=True)) if known else (0, 0, 0)
    return TypeDepth(
        state.ready.live - ready, state.leases.live - running, state.counts[JobStatus.DEAD] - dead
    )


def _workers(state: QueueState, op: Survey) -> tuple[WorkerView, ...]:
    holders = state.leases.workers()
    wanted: dict[str | None, None] = dict.fromkeys(op.workers)
    room = OVERVIEW_WORKERS_MAX - len(wanted)
    others = [each for each in islice(holders, SURVEY_LOOKS_MAX) if each not in wanted]
    if len(others) > room:
        others = sorted(others, key=lambda each: each or "")[: max(0, room)]
    shown = [*islice(wanted, OVERVIEW_WORKERS_MAX), *others]
    each_max = max(1, min(OVERVIEW_WORKER_JOBS_MAX, OVERVIEW_JOBS_MAX // max(1, len(shown))))
    return tuple([_worker(state, each, each_max) for each in shown])


def _worker(state: QueueState, worker_id: str | None, jobs_max: int) -> WorkerView:
    held = state.leases.of_worker(worker_id)
    first = tuple(islice(held, jobs_max))
    newest = state.leases.newest_of(worker_id)
    seen_at = None
    if newest is not None:  # a heartbeat renews them all; the newest may have been claimed since
        seen_at = max([job.heartbeat or 0 for job in (*first, newest)])
    jobs = tuple([Holding(job.id, job.type, job.since, job.progress) for job in first])
    return WorkerView(worker_id or "", seen_at, len(held), jobs)
