"""Schedules of a leader: when their jobs come, and what becomes of a time when all goes wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from osqueue.broker.timetable import CronTimetable
from osqueue.config import QueueLimits
from osqueue.errors import ConfigError
from osqueue.model.ops import DropSchedule, GetSchedule, PauseSchedule
from osqueue.model.schedules import SKIP, Schedule, fired_job_id

from .conftest import Start
from .harness import EPOCH, START, Trace
from .objects import edited, job_ids, taken_over

MINUTE = 60_000
FIRST = START.wall + MINUTE


def schedule_of(data: bytes, name: str = "s") -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(data).get("schedules", [])
    return next(each for each in found if each["name"] == name)


def scheduled(lead: Start, *, every_ms: int = MINUTE, **fields: Any) -> Trace:
    """A leader of a queue with a schedule, and that for good."""
    t = lead(timetable=CronTimetable())
    t.schedule("s", every_ms=every_ms, **fields)
    t.ok()
    return t


def takes_over(start: Start, dead: Trace, **settings: Any) -> Trace:
    """The next leader, of the object as it is and with the same clocks."""
    t = start(dead.data, epoch=EPOCH + 1, start=dead.now, timetable=CronTimetable(), **settings)
    t.ok()
    return t


def test_schedule_when_its_time_comes_then_woken_for_it_and_job_and_time_are_one_commit(
    lead: Start,
) -> None:
    t = scheduled(lead)
    t.goes_well(MINUTE - 1)
    assert job_ids(t.data) == []
    t.runs(1)
    written = t.write.data
    assert job_ids(written) == [fired_job_id("s", FIRST)]
    assert schedule_of(written)["nextAt"] == FIRST + MINUTE
    t.ok()


def test_schedule_when_a_claim_waits_then_it_gets_the_job_in_the_same_commit(lead: Start) -> None:
    t = scheduled(lead)
    claim = t.claim(waits=True)
    t.goes_well(MINUTE - 1)
    assert t.waits(claim)
    t.runs(1)
    t.ok()
    assert [grant.id for grant in t.grants(claim)] == [fired_job_id("s", FIRST)]


def test_schedule_when_idle_then_nothing_is_written_but_heartbeats(lead: Start) -> None:
    without = lead()
    without.goes_well(30_000)
    t = scheduled(lead, every_ms=3_600_000)
    landed, wakes = len(t.landed), t.wakes
    t.goes_well(30_000)
    assert len(t.landed) - landed == len(without.landed) - 1
    assert t.wakes - wakes <= without.wakes


def test_schedule_when_the_reply_of_its_commit_is_lost_then_the_job_is_there_once(
    lead: Start,
) -> None:
    t = scheduled(lead)
    t.goes_well(MINUTE - 1)
    t.runs(1)
    t.lands(t.write)
    t.unclear()
    t.goes_well(2_000)
    t.goes_well(1_000)
    assert job_ids(t.data) == [fired_job_id("s", FIRST)]
    assert schedule_of(t.data)["nextAt"] == FIRST + MINUTE


def test_schedule_when_its_commit_is_not_resolved_then_the_next_time_waits_for_nothing(
    lead: Start,
) -> None:
    t = scheduled(lead)
    t.goes_well(MINUTE - 1)
    t.runs(1)
    t.unless_heard(MINUTE)
    t.goes_well(3_000)
    assert len(job_ids(t.data)) == 2
    assert schedule_of(t.data)["nextAt"] == FIRST + 2 * MINUTE


def test_schedule_when_the_leader_dies_after_its_commit_then_the_next_fires_it_not_again(
    lead: Start, start: Start
) -> None:
    t = scheduled(lead)
    t.goes_well(MINUTE - 1)
    t.runs(1)
    t.lands(t.write)
    t.abandon()
    after = takes_over(start, t)
    after.goes_well(5_000)
    assert job_ids(after.data) == [fired_job_id("s", FIRST)]


def test_schedule_when_the_leader_dies_before_its_commit_then_the_next_fires_it(
    lead: Start, start: Start
) -> None:
    t = scheduled(lead)
    t.goes_well(MINUTE - 1)
    t.runs(1)
    t.abandon()
    after = takes_over(start, t)
    after.goes_well(5_000)
    assert job_ids(after.data) == [fired_job_id("s", FIRST)]
    assert schedule_of(after.data)["nextAt"] == FIRST + MINUTE


def test_schedule_when_the_place_is_not_taken_yet_then_nothing_is_fired(
    lead: Start, start: Start
) -> None:
    t = scheduled(lead)
    t.abandon()
    t.pause(10 * MINUTE)
    after = start(t.data, epoch=EPOCH + 1, start=t.now, timetable=CronTimetable())
    assert job_ids(after.write.data) == []
    after.ok()
    after.goes_well(1_000)
    assert len(job_ids(after.data)) == 1


def test_schedule_when_the_leader_stood_still_and_was_replaced_then_its_firing_is_lost(
    lead: Start, start: Start
) -> None:
    t = scheduled(lead)
    before = t.data
    other = start(taken_over(before, epoch=EPOCH + 1), epoch=EPOCH + 2, timetable=CronTimetable())
    other.goes_well(MINUTE + 1_000)
    t.pause(MINUTE + 2_000)
    t.passes(0)
    assert job_ids(t.write.data) == [fired_job_id("s", FIRST)]
    t.changes(other.data)
    assert not t.goes_on
    assert job_ids(other.data) == [fired_job_id("s", FIRST)]


def test_schedule_when_the_object_was_edited_under_its_commit_then_the_job_is_there_once(
    lead: Start,
) -> None:
    t = scheduled(lead)
    t.goes_well(MINUTE - 1)
    t.runs(1)
    t.changes(edited(t.data, note="by hand"))
    t.goes_well(2_000)
    assert job_ids(t.data) == [fired_job_id("s", FIRST)]
    assert json.loads(t.data)["note"] == "by hand"


@pytest.mark.parametrize(("missed", "jobs"), [("once", 1), (SKIP, 0)])
def test_schedule_when_nobody_led_for_long_then_one_job_for_all_or_none(
    missed: str, jobs: int, lead: Start, start: Start
) -> None:
    t = scheduled(lead, missed=missed)
    t.abandon()
    t.pause(10 * MINUTE + 30_000)
    after = takes_over(start, t)
    after.goes_well(1_000)
    assert len(job_ids(after.data)) == jobs
    assert schedule_of(after.data)["nextAt"] == START.wall + 11 * MINUTE
    after.goes_well(MINUTE)
    assert len(job_ids(after.data)) == jobs + 1


def test_schedule_when_a_time_is_late_by_less_than_missed_then_it_is_not_left_out(
    lead: Start, start: Start
) -> None:
    t = scheduled(lead, missed=SKIP, every_ms=3_600_000)
    t.abandon()
    t.pause(3_600_000 + 59_000)
    after = takes_over(start, t)
    after.goes_well(500)
    assert len(job_ids(after.data)) == 1


def test_schedule_when_the_clock_is_set_back_then_no_time_comes_twice(lead: Start) -> None:
    t = scheduled(lead)
    t.goes_well(MINUTE + 1)
    assert len(job_ids(t.data)) == 1
    t.wall_steps(-10 * MINUTE)
    t.goes_well(10 * MINUTE)
    assert len(job_ids(t.data)) == 1
    t.goes_well(MINUTE)
    assert len(job_ids(t.data)) == 2


def test_schedule_when_the_clock_is_set_ahead_then_one_job_for_all_times_between(
    lead: Start,
) -> None:
    t = scheduled(lead)
    t.wall_steps(100 * MINUTE)
    t.goes_well(5_000)
    assert len(job_ids(t.data)) == 1
    assert schedule_of(t.data)["nextAt"] == START.wall + 101 * MINUTE


def test_schedule_when_the_queue_is_full_then_its_time_stays_and_is_tried_each_second(
    lead: Start,
) -> None:
    t = lead(timetable=CronTimetable(), limits=QueueLimits(state_bytes_max=600))
    t.schedule("s", every_ms=MINUTE)
    t.submit("a")
    t.settles()
    t.goes_well(MINUTE)
    wakes = t.wakes
    t.goes_well(10_000)
    assert t.wakes - wakes < 40
    assert job_ids(t.data) == ["a"]
    assert schedule_of(t.data)["nextAt"] == FIRST
    t.cancel("a")
    t.goes_well(2_000)
    assert job_ids(t.data) == [fired_job_id("s", FIRST)]


def test_schedule_when_its_times_cannot_be_told_then_it_is_said_once_and_others_go_on(
    lead: Start,
) -> None:
    class Broken(CronTimetable):
        def next_after(self, schedule: Schedule, wall_ms: int) -> int | None:
            if schedule.name == "broken":
                raise ConfigError("no such zone here")
            return super().next_after(schedule, wall_ms)

    t = lead(timetable=Broken())
    t.schedule("broken", every_ms=MINUTE)
    t.schedule("s", every_ms=MINUTE)
    t.settles()
    t.goes_well(3 * MINUTE + 5_000)
    said = [notice.message for notice in t.notices if "broken" in notice.message]
    assert said == ["schedule 'broken' submits nothing: no such zone here"]
    assert len(job_ids(t.data)) == 3
    assert schedule_of(t.data, "broken")["nextAt"] == FIRST


def test_schedules_when_very_many_are_due_at_once_then_all_come_and_no_pass_takes_long(
    lead: Start,
) -> None:
    t = lead(timetable=CronTimetable())
    for number in range(250):
        t.schedule(f"s{number}", every_ms=MINUTE)
    t.settles()
    t.goes_well(MINUTE - 1)
    t.runs(1)
    assert len(job_ids(t.write.data)) == 100
    t.goes_well(100)
    assert len(job_ids(t.data)) == 250


def test_put_when_it_repeats_one_whose_commit_may_be_lost_then_unknown_and_a_look_is_not(
    lead: Start,
) -> None:
    t = lead(timetable=CronTimetable())
    t.schedule("s", every_ms=MINUTE)
    again = t.schedule("s", every_ms=MINUTE)
    look = t.ask(GetSchedule("s"))
    t.unclear()
    t.abandon()
    assert t.refusal(again).applied == "unknown"
    assert t.refusal(look).applied == "no"


@pytest.mark.parametrize("how", ["dropped", "paused"])
def test_schedule_when_it_is_not_wanted_any_more_then_nothing_comes(how: str, lead: Start) -> None:
    t = scheduled(lead)
    t.ask(DropSchedule("s") if how == "dropped" else PauseSchedule("s"))
    t.ok()
    t.goes_well(5 * MINUTE)
    assert job_ids(t.data) == []


def test_schedule_when_the_leader_stops_then_nothing_is_fired_any_more(lead: Start) -> None:
    t = scheduled(lead)
    t.goes_well(MINUTE - 1)
    t.stop()
    t.passes(MINUTE)
    t.settles()
    assert job_ids(t.data) == []
    assert not t.goes_on


def test_schedule_when_writers_share_the_queue_then_kept_and_not_fired(
    lead: Start, share: Start
) -> None:
    t = scheduled(lead)
    t.stop()
    t.settles()
    data = json.loads(t.data)
    shared = share(json.dumps({**data, "commit": f"{EPOCH}-1-shared.x"}).encode())
    shared.submit("a")
    shared.settles()
    shared.goes_well(5 * MINUTE)
    assert job_ids(shared.data) == ["a"]
    assert schedule_of(shared.data) == data["schedules"][0]
