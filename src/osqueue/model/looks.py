"""Answers what only looks at a queue: nothing of that is ever part of a commit."""

from __future__ import annotations

from typing import assert_never

from osqueue.model import queries
from osqueue.model.job import Moment
from osqueue.model.ops import (
    FindJobs,
    GetJob,
    GetPayloadKeys,
    GetSchedule,
    GetState,
    GetStats,
    GetTypes,
    GetWorkflow,
    ListDead,
    ListEnded,
    ListJobs,
    ListSchedules,
    Query,
    Survey,
)
from osqueue.model.outcomes import Outcome, PayloadKeys
from osqueue.model.recurring import look_at_schedules
from osqueue.model.state import QueueState
from osqueue.model.survey import survey
from osqueue.model.workflow import workflow

__all__ = ["look"]


def look(state: QueueState, op: Query, now: Moment) -> Outcome:  # noqa: PLR0911 - one flat dispatch over the union of looks
    """Tell what ``op`` asks; jobs whose delay has ended are shown as ready."""
    if isinstance(op, GetStats | GetState | GetWorkflow | ListJobs | FindJobs | Survey):
        state.promote_due(now.wall)
    match op:
        case GetJob():
            return queries.job(state, op.id)
        case GetWorkflow():
            return workflow(state, op)
        case GetStats() | GetState():
            return state.totals()
        case ListJobs() | FindJobs() | ListEnded() | ListDead():
            return _listed(state, op)
        case GetTypes():
            return queries.types(state)
        case GetPayloadKeys():
            return PayloadKeys(frozenset(state.payload_keys))
        case Survey():
            return survey(state, op)
        case GetSchedule() | ListSchedules():
            return look_at_schedules(state, op)
        case _:  # pragma: no cover
            assert_never(op)


def _listed(state: QueueState, op: ListJobs | FindJobs | ListEnded | ListDead) -> Outcome:
    match op:
        case ListJobs():
            return queries.page(state, op)
        case FindJobs():
            return queries.find(state, op)
        case ListEnded():
            return queries.ended(state, op)
        case ListDead():
            return queries.dead(state, op)
        case _:  # pragma: no cover
            assert_never(op)
