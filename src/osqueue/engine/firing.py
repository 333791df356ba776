"""When schedules submit their jobs: as soon as their time has come, by the leader alone. Pure.

Laws: what cannot be submitted now (the queue is full) stays due, and is tried again a while later;
a time that comes again because the clock was set back brings nothing; after times that were missed
the next one is ahead of the clock.
"""

from __future__ import annotations

from osqueue.config import SCHEDULE_MISSED_MS, SCHEDULE_RETRY_MS, SCHEDULES_FIRED_MAX
from osqueue.engine.intake import Intake
from osqueue.engine.requests import Instant, Notice
from osqueue.errors import OsqueueError
from osqueue.model.job import Moment
from osqueue.model.ops import FireSchedule
from osqueue.model.outcomes import Done
from osqueue.model.schedules import SKIP, Schedule, Timetable, fired_job_id

__all__ = ["Firing"]


class Firing:
    """Fires the schedules of one leader's term."""

    def __init__(self, timetable: Timetable) -> None:
        self._timetable = timetable
        self._not_before = 0
        self._told: set[str] = set()
        """The schedules of which was said that they cannot go on."""

    def fire(self, intake: Intake, moment: Moment, now: Instant) -> None:
        """Submit what is due; of very many, some."""
        first = intake.state.schedules.next_at()
        if first is None or first > now.wall or now.mono < self._not_before:
            return
        fired, stuck = 0, False
        for schedule in intake.state.schedules.due(now.wall):
            if fired == SCHEDULES_FIRED_MAX:
                self._not_before = now.mono + 1
                break
            op = self._move(schedule, now.wall, intake)
            done = op is not None and isinstance(intake.own(op, moment), Done)
            fired, stuck = fired + done, stuck or not done
        else:
            self._not_before = now.mono + SCHEDULE_RETRY_MS if stuck else 0
        intake.serve_waiting(moment, now.mono)

    def wake_at(self, intake: Intake, now: Instant) -> int | None:
        """When to fire next, in monotonic ms."""
        next_at = intake.state.schedules.next_at()
        if next_at is None:
            return None
        return max(self._not_before, now.mono + max(1, next_at - now.wall))

    def _move(self, schedule: Schedule, wall_ms: int, intake: Intake) -> FireSchedule | None:
        at = schedule.next_at
        assert at is not None, "it is due"
        try:
            next_at = self._timetable.next_after(schedule, max(at, wall_ms))
        except OsqueueError as error:
            self._tell(schedule.name, error, intake)
            return None
        self._told.discard(schedule.name)
        missed = schedule.missed == SKIP and wall_ms - at >= SCHEDULE_MISSED_MS
        job_id = fired_job_id(schedule.name, at)
        return FireSchedule(schedule.name, at, next_at, job_id, submits=not missed)

    def _tell(self, name: str, error: OsqueueError, intake: Intake) -> None:
        if name not in self._told:
            self._told.add(name)
            message = f"schedule {name!r} submits nothing: {error.message}"
            intake.notices.append(Notice(message, error=True))
