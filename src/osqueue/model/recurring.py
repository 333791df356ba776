"""What becomes of schedules, and of the jobs that they submit.

As in `osqueue.model.apply`: first look, then change, so an operation is all or nothing.
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from osqueue.config import SCHEDULES_MAX
from osqueue.model.job import Moment, length_of
from osqueue.model.ops import (
    DropSchedule,
    FireSchedule,
    GetSchedule,
    ListSchedules,
    NewJob,
    PauseSchedule,
    PutSchedule,
    ResumeSchedule,
)
from osqueue.model.outcomes import (
    ArchiveBehind,
    Done,
    NoSchedule,
    Outcome,
    ScheduleKept,
    SchedulePage,
    SchedulesFull,
    StateFull,
)
from osqueue.model.schedules import Schedule, same_times
from osqueue.model.state import QueueState, new_job_weight

__all__ = ["ScheduleChange", "ScheduleLook", "change_schedule", "look_at_schedules"]

ScheduleChange = PutSchedule | DropSchedule | PauseSchedule | ResumeSchedule | FireSchedule
ScheduleLook = GetSchedule | ListSchedules

_DONE = Done()


def change_schedule(state: QueueState, op: ScheduleChange, now: Moment) -> Outcome:
    """Do what ``op`` asks, or refuse it."""
    match op:
        case PutSchedule():
            return _put(state, op, now)
        case DropSchedule():
            state.drop_schedule(op.name)
            return _DONE
        case PauseSchedule():
            return _pause(state, op)
        case ResumeSchedule():
            return _resume(state, op)
        case FireSchedule():
            return _fire(state, op, now)
        case _:  # pragma: no cover
            assert_never(op)


def look_at_schedules(state: QueueState, op: ScheduleLook) -> Outcome:
    """Tell what ``op`` asks."""
    match op:
        case GetSchedule():
            schedule = state.schedules.get(op.name)
            return NoSchedule(op.name) if schedule is None else ScheduleKept(schedule)
        case ListSchedules():
            found = state.schedules.page(op.after, op.limit + 1)
            return SchedulePage(found[: op.limit], more=len(found) > op.limit)
        case _:  # pragma: no cover
            assert_never(op)


def _put(state: QueueState, op: PutSchedule, now: Moment) -> Outcome:
    before = state.schedules.get(op.schedule.name)
    if before is None and len(state.schedules) >= SCHEDULES_MAX:
        return SchedulesFull(SCHEDULES_MAX)
    schedule = _made(op, before, now)
    if schedule == before:
        return ScheduleKept(schedule)
    growth = length_of(schedule.payload) - (0 if before is None else length_of(before.payload))
    if growth >= 0 and state.size + growth > state.limits.state_bytes_max:
        return StateFull(state.limits.state_bytes_max)
    state.put_schedule(schedule)
    return ScheduleKept(schedule)


def _made(op: PutSchedule, before: Schedule | None, now: Moment) -> Schedule:
    """The schedule as it is to stand, with what is known of the one before."""
    wanted = op.schedule
    if before is None:
        paused = op.paused or False
        next_at = None if paused else wanted.next_at
        return replace(wanted, paused=paused, created_at=now.wall, next_at=next_at)
    paused = before.paused if op.paused is None else op.paused
    goes_on = same_times(wanted, before) and before.next_at is not None
    next_at = before.next_at if goes_on else wanted.next_at
    return replace(
        wanted,
        paused=paused,
        created_at=before.created_at,
        next_at=None if paused else next_at,
        last_at=before.last_at,
        last_job_id=before.last_job_id,
    )


def _pause(state: QueueState, op: PauseSchedule) -> Outcome:
    schedule = state.schedules.get(op.name)
    if schedule is None:
        return NoSchedule(op.name)
    if not schedule.paused:
        state.put_schedule(replace(schedule, paused=True, next_at=None))
    return _DONE


def _resume(state: QueueState, op: ResumeSchedule) -> Outcome:
    schedule = state.schedules.get(op.seen.name)
    if schedule is None:
        return NoSchedule(op.seen.name)
    if schedule.paused:
        if not same_times(schedule, op.seen):
            return ScheduleKept(schedule)
        state.put_schedule(replace(schedule, paused=False, next_at=op.next_at))
    return _DONE


def _fire(state: QueueState, op: FireSchedule, now: Moment) -> Outcome:
    schedule = state.schedules.get(op.name)
    if schedule is None or schedule.next_at != op.at:
        return _DONE
    if schedule.last_at is not None and op.at <= schedule.last_at:  # the clock was set back
        state.put_schedule(replace(schedule, next_at=op.next_at))
        return _DONE
    moved = replace(schedule, next_at=op.next_at, last_at=op.at)
    if not op.submits:
        state.put_schedule(moved)
        return _DONE
    refusal = _submit(state, schedule, op.job_id, now)
    if refusal is not None:
        return refusal
    state.put_schedule(replace(moved, last_job_id=op.job_id))
    return _DONE


def _submit(
    state: QueueState, schedule: Schedule, job_id: str, now: Moment
) -> StateFull | ArchiveBehind | None:
    """Add its job, unless it is known. Why that cannot be now, if so."""
    if state.knows_any({job_id}):
        return None
    job = NewJob(
        job_id,
        schedule.type,
        schedule.payload,
        schedule.max_attempts,
        schedule.priority,
        terms=schedule.terms,
    )
    weight = new_job_weight(job)
    if state.size + weight > state.limits.state_bytes_max:
        return StateFull(state.limits.state_bytes_max)
    if state.ends.finished_bytes > state.limits.finished_bytes_max:
        return ArchiveBehind(state.limits.finished_bytes_max)
    state.submit([job], weight, now)
    return None
