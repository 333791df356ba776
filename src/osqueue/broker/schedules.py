"""Schedules as requests have them: checked, their next times worked out, and shown.

The engine submits what is due by itself (`osqueue.engine.firing`).
"""

from __future__ import annotations

from typing import Final

from osqueue.broker.engines import QueueEngine
from osqueue.broker.refusals import refusal
from osqueue.broker.reply import Reply
from osqueue.broker.submits import submit_jobs
from osqueue.broker.timetable import CronTimetable, in_words
from osqueue.clock import Clock, Entropy
from osqueue.config import SCHEDULE_PAYLOAD_BYTES_MAX
from osqueue.engine.requests import Held
from osqueue.errors import BrokerProtocolError, OsqueueError, OverloadedError
from osqueue.model.job import length_of
from osqueue.model.ops import (
    DropSchedule,
    GetSchedule,
    ListSchedules,
    NewJob,
    PauseSchedule,
    PutSchedule,
    ResumeSchedule,
)
from osqueue.model.outcomes import Done, ScheduleKept, SchedulePage, Submitted
from osqueue.model.payload import payload_fault
from osqueue.model.schedules import ONCE, Schedule
from osqueue.wire.messages import SubmitAnswer
from osqueue.wire.operations import SchedulesQuery
from osqueue.wire.schedules import (
    PutScheduleRequest,
    RunScheduleRequest,
    ScheduleInfo,
    SchedulesPage,
)

__all__ = ["ScheduleBook"]

RESUMES_MAX: Final = 3
"""How often a schedule is looked at anew that others change while it is being resumed."""


class ScheduleBook:
    """The operations on the schedules of one queue."""

    def __init__(self, engine: QueueEngine, *, clock: Clock, entropy: Entropy) -> None:
        self._engine = engine
        self._clock = clock
        self._entropy = entropy
        self._timetable = CronTimetable()

    async def put(self, request: PutScheduleRequest, *, size: int = 0) -> Reply[ScheduleInfo]:
        """Keep a schedule, new or in the place of the one of its name."""
        _expect_keepable(request)
        wanted = _wanted(request)
        next_at = self._timetable.next_after(wanted, self._clock.wall_ms())
        if next_at is None:
            raise BrokerProtocolError(f"`cron`: {request.cron!r} never comes; write another date")
        wanted = _wanted(request, next_at=next_at)
        held = await self._engine.ask(PutSchedule(wanted, request.paused), size=size)
        return Reply(_info(_kept(held)), held.position)

    async def drop(self, name: str) -> Reply[None]:
        """Forget a schedule, if there is one of this name."""
        held = await self._engine.ask(DropSchedule(name))
        return Reply(None, held.position)

    async def pause(self, name: str) -> Reply[None]:
        """Let a schedule submit nothing."""
        return _done(await self._engine.ask(PauseSchedule(name)))

    async def resume(self, name: str) -> Reply[None]:
        """Let a schedule submit jobs again, from its next time on."""
        seen = _kept(await self._engine.ask(GetSchedule(name)))
        for _ in range(RESUMES_MAX):
            next_at = self._timetable.next_after(seen, self._clock.wall_ms())
            held = await self._engine.ask(ResumeSchedule(seen, next_at))
            if not isinstance(held.outcome, ScheduleKept):
                return _done(held)
            seen = held.outcome.schedule
        raise OverloadedError(f"schedule {name!r} is being changed by others; try again")

    async def run(self, request: RunScheduleRequest) -> Reply[SubmitAnswer]:
        """Submit a job of a schedule now, beside its times."""
        schedule = _kept(await self._engine.ask(GetSchedule(request.name)))
        job = NewJob(
            request.job_id or self._entropy.job_id(),
            schedule.type,
            schedule.payload,
            schedule.max_attempts,
            schedule.priority,
            terms=schedule.terms,
        )
        held = await submit_jobs(self._engine, (job,), size=job.payload_bytes)
        if not isinstance(held.outcome, Submitted):
            raise _refused(held)
        return Reply(SubmitAnswer(job.id), held.position)

    async def page(self, query: SchedulesQuery) -> Reply[SchedulesPage]:
        """Look at a page of schedules."""
        op = ListSchedules(query.limit, query.cursor or "")
        held = await self._engine.ask(op, consistent=query.consistent)
        found = held.outcome
        assert isinstance(found, SchedulePage), "looking at schedules cannot be refused"
        cursor = found.schedules[-1].name if found.more else None
        infos = [_info(schedule) for schedule in found.schedules]
        return Reply(SchedulesPage(schedules=infos, next_cursor=cursor), held.position)


def _expect_keepable(request: PutScheduleRequest) -> None:
    fault = payload_fault(request.payload)
    if fault is not None:
        raise BrokerProtocolError(f"`payload` cannot be kept: {fault}")
    if length_of(request.payload) > SCHEDULE_PAYLOAD_BYTES_MAX:
        raise BrokerProtocolError(
            f"`payload` is larger than {SCHEDULE_PAYLOAD_BYTES_MAX} bytes, which every commit "
            "would write; say where the handler finds the data instead"
        )
    if request.timezone is not None and request.cron is None:
        raise BrokerProtocolError("`timezone` goes with `cron`; an interval has none")


def _wanted(request: PutScheduleRequest, *, next_at: int | None = None) -> Schedule:
    return Schedule(
        name=request.name,
        type=request.type or "",
        payload=request.payload,
        cron=None if request.cron is None else " ".join(request.cron.split()),
        timezone=request.timezone or "UTC",
        every_ms=request.every_ms,
        priority=request.priority,
        max_attempts=request.max_attempts,
        retry=request.retry,
        timeout_ms=request.timeout_ms,
        keep_result=request.keep_result,
        missed=request.missed or ONCE,
        created_at=0,
        next_at=next_at,
    )


def _info(schedule: Schedule) -> ScheduleInfo:
    return ScheduleInfo(
        name=schedule.name,
        type=schedule.type,
        payload=schedule.payload,
        cron=schedule.cron,
        timezone=None if schedule.cron is None else schedule.timezone,
        every_ms=schedule.every_ms,
        when=in_words(schedule),
        priority=schedule.priority,
        max_attempts=schedule.max_attempts,
        retry=schedule.retry,
        timeout_ms=schedule.timeout_ms,
        keep_result=schedule.keep_result,
        missed=schedule.missed,
        paused=schedule.paused,
        created_at=schedule.created_at,
        next_at=schedule.next_at,
        last_at=schedule.last_at,
        last_job_id=schedule.last_job_id,
    )


def _kept(held: Held) -> Schedule:
    if not isinstance(held.outcome, ScheduleKept):
        raise _refused(held)
    return held.outcome.schedule


def _done(held: Held) -> Reply[None]:
    if not isinstance(held.outcome, Done):
        raise _refused(held)
    return Reply(None, held.position)


def _refused(held: Held) -> OsqueueError:
    error = refusal(held.outcome)
    error.position = held.position
    return error
