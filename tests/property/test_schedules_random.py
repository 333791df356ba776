"""Schedules against naive ones: a table without an index, written and read back at any time.

Whatever is done in whatever order, each time of a schedule brings one job at most, and it does so
in the change that moves the schedule on.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import UNSET, Raw
from msgspec.structs import replace

from osqueue.broker.timetable import CronTimetable
from osqueue.config import QueueLimits
from osqueue.model.apply import apply
from osqueue.model.invariants import check
from osqueue.model.job import Moment
from osqueue.model.ops import (
    Cancel,
    DropSchedule,
    FireSchedule,
    Forget,
    GetSchedule,
    ListSchedules,
    Op,
    PauseSchedule,
    PutSchedule,
    ResumeSchedule,
)
from osqueue.model.outcomes import Done, NoSchedule, ScheduleKept, SchedulePage, StateFull
from osqueue.model.schedules import Schedule, fired_job_id, same_times
from osqueue.model.snapshot import decode_state, encode_state
from osqueue.model.state import QueueState

LIMITS = QueueLimits(state_bytes_max=3_000, dedupe_window_ms=5_000, dedupe_max=3, finished_max=2)
TIMES = CronTimetable()

names = st.sampled_from(["a", "b", "c"])
timings: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"every_ms": 1_000},
        {"every_ms": 7_000},
        {"cron": "* * * * *"},
        {"cron": "*/2 * * * *", "timezone": "Europe/Rome"},
    ]
)
payloads = st.sampled_from([UNSET, Raw(b"null"), Raw(b'{"n":1}'), Raw(b'"%b"' % (b"x" * 600))])


class SchedulesAgainstNaive(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = Moment(1_800_000_000_000, 0)
        self.state = QueueState(LIMITS)
        self.naive: dict[str, Schedule] = {}
        self.lives: dict[str, int] = {}
        """How often a schedule of this name has been dropped: what comes then is another."""
        self.fired: set[tuple[str, int, int]] = set()
        """The times that have brought a job, by name and life."""

    def do(self, op: Op) -> object:
        return apply(self.state, op, self.now)

    @rule(ms=st.sampled_from([-5_000, 1, 700, 5_000, 60_000, 200_000]))
    def time_passes(self, ms: int) -> None:
        self.now = Moment(self.now.wall + ms, self.now.serving + abs(ms))

    @rule(
        name=names,
        timing=timings,
        payload=payloads,
        paused=st.sampled_from([None, None, True, False]),
    )
    def put(self, name: str, timing: dict[str, Any], payload: Any, paused: bool | None) -> None:
        asked = Schedule(name=name, payload=payload, created_at=0, **timing)
        asked = replace(asked, next_at=TIMES.next_after(asked, self.now.wall))
        got = self.do(PutSchedule(asked, paused))
        if isinstance(got, StateFull):
            return
        before = self.naive.get(name)
        stays = before.paused if before is not None and paused is None else bool(paused)
        wanted = replace(asked, created_at=self.now.wall, paused=stays)
        if before is not None:
            wanted = replace(
                wanted,
                created_at=before.created_at,
                last_at=before.last_at,
                last_job_id=before.last_job_id,
            )
            if same_times(before, asked) and before.next_at is not None:
                wanted = replace(wanted, next_at=before.next_at)
        self.naive[name] = replace(wanted, next_at=None) if stays else wanted
        assert got == ScheduleKept(self.naive[name])

    @rule(name=names)
    def drop(self, name: str) -> None:
        assert self.do(DropSchedule(name)) == Done()
        if self.naive.pop(name, None) is not None:
            self.lives[name] = self.lives.get(name, 0) + 1

    @rule(name=names)
    def pause(self, name: str) -> None:
        known = self.naive.get(name)
        assert self.do(PauseSchedule(name)) == (NoSchedule(name) if known is None else Done())
        if known is not None:
            self.naive[name] = replace(known, paused=True, next_at=None)

    @rule(name=names)
    def resume(self, name: str) -> None:
        known = self.naive.get(name)
        if known is None:
            return
        next_at = TIMES.next_after(known, self.now.wall)
        assert self.do(ResumeSchedule(known, next_at)) == Done()
        if known.paused:
            self.naive[name] = replace(known, paused=False, next_at=next_at)

    @precondition(lambda self: self.naive)
    @rule(data=st.data(), again=st.booleans(), submits=st.sampled_from([True, True, False]))
    def fire(self, data: st.DataObject, again: bool, submits: bool) -> None:
        """As the engine does it, also at a time that has been moved on from."""
        known = self.naive[data.draw(st.sampled_from(sorted(self.naive)))]
        at = known.last_at if again else known.next_at
        if at is None:
            return
        next_at = TIMES.next_after(known, max(at, self.now.wall))
        op = FireSchedule(known.name, at, next_at, fired_job_id(known.name, at), submits)
        before, jobs = encode_state(self.state), len(self.state.jobs)
        got = self.do(op)
        if at != known.next_at or isinstance(got, StateFull):
            assert encode_state(self.state) == before
            return
        assert got == Done()
        brought = len(self.state.jobs) - jobs
        assert brought <= submits
        now = self.state.schedules.get(known.name)
        assert now is not None
        self.naive[known.name] = replace(
            known,
            next_at=next_at,
            last_at=max(at, known.last_at or 0),
            last_job_id=now.last_job_id,
        )
        if brought:
            time = (known.name, self.lives.get(known.name, 0), at)
            assert time not in self.fired
            assert now.last_job_id == op.job_id
            self.fired.add(time)

    @precondition(lambda self: self.state.jobs)
    @rule(forget=st.booleans())
    def jobs_end(self, forget: bool) -> None:
        for job_id in list(self.state.jobs):
            self.do(Cancel(job_id))
        if forget:
            self.do(Forget())

    @rule()
    def write_and_read_back(self) -> None:
        data = encode_state(self.state)
        self.state = decode_state(data, limits=LIMITS, now=self.now)
        assert encode_state(self.state) == data

    @invariant()
    def both_are_the_same(self) -> None:
        check(self.state)
        page = self.do(ListSchedules(10))
        assert page == SchedulePage(
            tuple(self.naive[each] for each in sorted(self.naive)), more=False
        )
        for name, known in self.naive.items():
            assert self.do(GetSchedule(name)) == ScheduleKept(known)
        times = [each.next_at for each in self.naive.values() if each.next_at is not None]
        assert self.state.schedules.next_at() == min(times, default=None)
        due = self.state.schedules.due(self.now.wall)
        assert {each.name for each in due} == {
            name
            for name, each in self.naive.items()
            if each.next_at is not None and each.next_at <= self.now.wall
        }


TestSchedulesAgainstNaive = SchedulesAgainstNaive.TestCase
TestSchedulesAgainstNaive.settings = settings(max_examples=150, stateful_step_count=50)
