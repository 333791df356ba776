"""Schedules in the state: kept, moved on, fired once for each time, written and read back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from osqueue.config import SCHEDULES_MAX, RetryPolicy
from osqueue.errors import CorruptStateError
from osqueue.model.batches import id_time
from osqueue.model.ops import (
    DropSchedule,
    FireSchedule,
    GetSchedule,
    ListSchedules,
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
from osqueue.model.schedules import SKIP, Schedule, fired_job_id

from .driver import START, Driver, state_json

T0 = START.wall
MINUTE = 60_000


def a_schedule(name: str = "s", *, next_at: int | None = T0 + MINUTE, **fields: Any) -> Schedule:
    given: dict[str, Any] = {
        "type": "t",
        "payload": Raw(b'{"n":1}'),
        "every_ms": MINUTE,
        "created_at": 0,
    }
    return Schedule(name=name, next_at=next_at, **(given | fields))


def put(queue: Driver, schedule: Schedule, *, paused: bool | None = None) -> Outcome:
    return queue.do(PutSchedule(schedule, paused))


def fire(queue: Driver, at: int, next_at: int | None = None, *, submits: bool = True) -> Outcome:
    """The firing of ``s`` at a time, as the engine asks for it."""
    after = at + MINUTE if next_at is None else next_at
    return queue.do(FireSchedule("s", at, after, fired_job_id("s", at), submits))


def stands(queue: Driver, name: str = "s") -> Schedule:
    schedule = queue.state.schedules.get(name)
    assert schedule is not None
    return schedule


def job_ids(queue: Driver) -> list[str]:
    return [job.id for job in queue.state.order]


def test_put_when_new_then_kept_with_its_time_and_written() -> None:
    queue = Driver()
    kept = put(queue, a_schedule())
    assert kept == ScheduleKept(a_schedule(created_at=T0))
    assert queue.json["schedules"] == [
        {
            "name": "s",
            "type": "t",
            "payload": {"n": 1},
            "everyMs": MINUTE,
            "createdAt": T0,
            "nextAt": T0 + MINUTE,
        }
    ]


def test_state_when_it_has_no_schedules_then_the_field_is_left_out() -> None:
    queue = Driver()
    put(queue, a_schedule())
    assert queue.do(DropSchedule("s")) == Done()
    assert "schedules" not in queue.json


def test_put_when_the_same_again_later_then_nothing_changes() -> None:
    queue = Driver()
    put(queue, a_schedule())
    fire(queue, T0 + MINUTE)
    before, revision = queue.encoded, queue.state.revision
    queue.passes(10 * MINUTE)
    kept = put(queue, a_schedule(next_at=T0 + 11 * MINUTE))
    assert kept == ScheduleKept(stands(queue))
    assert (queue.encoded, queue.state.revision) == (before, revision)


def test_put_when_only_the_job_is_another_then_its_next_time_stays() -> None:
    queue = Driver()
    put(queue, a_schedule())
    queue.passes(5)
    put(queue, a_schedule(type="u", next_at=T0 + MINUTE + 5))
    assert stands(queue) == a_schedule(type="u", created_at=T0)


def test_put_when_the_times_are_others_then_the_next_is_new_and_what_was_stays_known() -> None:
    queue = Driver()
    put(queue, a_schedule())
    fire(queue, T0 + MINUTE)
    put(queue, a_schedule(every_ms=5_000, next_at=T0 + 5_000))
    now = stands(queue)
    assert (now.next_at, now.last_at) == (T0 + 5_000, T0 + MINUTE)
    assert now.last_job_id == fired_job_id("s", T0 + MINUTE)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(None, None, False), (True, None, True), (True, False, False), (False, True, True)],
)
def test_put_when_paused_is_said_then_it_is_so_and_else_as_it_was(
    first: bool | None, second: bool | None, expected: bool
) -> None:
    queue = Driver()
    put(queue, a_schedule(), paused=first)
    put(queue, a_schedule(), paused=second)
    assert stands(queue).paused is expected
    assert stands(queue).next_at == (None if expected else T0 + MINUTE)


def test_put_when_there_are_as_many_as_may_be_then_refused_but_not_a_change() -> None:
    queue = Driver()
    for number in range(SCHEDULES_MAX):
        queue.state.put_schedule(a_schedule(f"s{number}"))
    assert put(queue, a_schedule("more")) == SchedulesFull(SCHEDULES_MAX)
    assert isinstance(put(queue, a_schedule("s7", type="u")), ScheduleKept)


def test_put_when_the_state_is_full_then_refused() -> None:
    queue = Driver(state_bytes_max=100)
    large = a_schedule(payload=Raw(b'"%b"' % (b"x" * 200)))
    assert put(queue, large) == StateFull(100)
    assert len(queue.state.schedules) == 0


def test_put_when_it_came_never_again_and_does_now_then_it_has_its_next_time() -> None:
    queue = Driver()
    put(queue, a_schedule(next_at=None))
    put(queue, a_schedule())
    assert stands(queue).next_at == T0 + MINUTE


def test_drop_when_repeated_then_done_and_nothing_is_written() -> None:
    queue = Driver()
    put(queue, a_schedule())
    queue.do(DropSchedule("s"))
    revision = queue.state.revision
    assert queue.do(DropSchedule("s")) == Done()
    assert queue.state.revision == revision
    assert queue.state.schedules.next_at() is None


def test_fire_when_its_time_has_come_then_the_job_and_the_next_time_are_one_change() -> None:
    queue = Driver()
    terms: dict[str, Any] = {"retry": RetryPolicy(base_ms=7), "timeout_ms": 9, "keep_result": True}
    put(queue, a_schedule(priority=-3, max_attempts=5, **terms))
    queue.passes(MINUTE)
    assert fire(queue, T0 + MINUTE) == Done()
    job_id = fired_job_id("s", T0 + MINUTE)
    job = queue.job(job_id)
    assert (job["type"], job["payload"], job["priority"]) == ("t", {"n": 1}, -3)
    assert (job["maxAttempts"], job["timeoutMs"], job["keepResult"]) == (5, 9, True)
    assert job["retry"] == {"baseMs": 7}
    assert stands(queue).next_at == T0 + 2 * MINUTE
    assert (stands(queue).last_at, stands(queue).last_job_id) == (T0 + MINUTE, job_id)


def test_fire_when_repeated_then_nothing_happens() -> None:
    queue = Driver()
    put(queue, a_schedule())
    fire(queue, T0 + MINUTE)
    before, revision = queue.encoded, queue.state.revision
    assert fire(queue, T0 + MINUTE) == Done()
    assert (queue.encoded, queue.state.revision) == (before, revision)


@pytest.mark.parametrize("meanwhile", ["dropped", "paused", "changed"])
def test_fire_when_it_is_not_wanted_any_more_then_nothing_happens(meanwhile: str) -> None:
    queue = Driver()
    put(queue, a_schedule())
    match meanwhile:
        case "dropped":
            queue.do(DropSchedule("s"))
        case "paused":
            queue.do(PauseSchedule("s"))
        case "changed":
            put(queue, a_schedule(every_ms=5_000, next_at=T0 + 5_000))
    assert fire(queue, T0 + MINUTE) == Done()
    assert job_ids(queue) == []


def test_fire_when_the_job_of_the_time_is_known_then_there_is_no_second() -> None:
    queue = Driver()
    put(queue, a_schedule())
    fire(queue, T0 + MINUTE)
    queue.claim()
    queue.complete(fired_job_id("s", T0 + MINUTE))
    queue.do(DropSchedule("s"))
    put(queue, a_schedule())
    assert fire(queue, T0 + MINUTE) == Done()
    assert job_ids(queue) == []
    assert stands(queue).next_at == T0 + 2 * MINUTE


def test_fire_when_a_time_comes_again_then_it_is_moved_on_from_without_a_job() -> None:
    queue = Driver(dedupe_max=0, finished_max=0)
    put(queue, a_schedule())
    fire(queue, T0 + MINUTE)
    queue.claim()
    queue.complete(fired_job_id("s", T0 + MINUTE))
    put(queue, a_schedule(cron="* * * * *", every_ms=None, next_at=T0 + MINUTE))
    assert fire(queue, T0 + MINUTE) == Done()
    assert job_ids(queue) == []
    assert stands(queue).next_at == T0 + 2 * MINUTE


def test_fire_when_the_time_was_missed_and_is_left_out_then_only_the_next_is_another() -> None:
    queue = Driver()
    put(queue, a_schedule(missed=SKIP))
    assert fire(queue, T0 + MINUTE, T0 + 9 * MINUTE, submits=False) == Done()
    assert job_ids(queue) == []
    now = stands(queue)
    assert (now.next_at, now.last_at, now.last_job_id) == (T0 + 9 * MINUTE, T0 + MINUTE, None)


def test_fire_when_it_comes_never_again_then_it_stays_without_a_next_time() -> None:
    queue = Driver()
    put(queue, a_schedule())
    at = T0 + MINUTE
    queue.do(FireSchedule("s", at, None, fired_job_id("s", at)))
    assert stands(queue).next_at is None
    assert queue.state.schedules.due(2**60) == []
    assert len(job_ids(queue)) == 1


@pytest.mark.parametrize(
    ("limits", "refusal"),
    [
        ({"state_bytes_max": 600}, StateFull(600)),
        ({"archived": True, "finished_bytes_max": 0}, ArchiveBehind(0)),
    ],
)
def test_fire_when_there_is_no_room_then_it_stays_due(
    limits: dict[str, Any], refusal: Outcome
) -> None:
    queue = Driver(**limits)
    queue.submit("a")
    put(queue, a_schedule())
    if "archived" in limits:
        queue.cancel("a")
    before = queue.encoded
    assert fire(queue, T0 + MINUTE) == refusal
    assert queue.encoded == before
    assert [each.name for each in queue.state.schedules.due(T0 + MINUTE)] == ["s"]


def test_fire_when_the_queue_is_paused_then_it_submits_all_the_same() -> None:
    queue = Driver()
    put(queue, a_schedule())
    queue.pause()
    fire(queue, T0 + MINUTE)
    assert len(job_ids(queue)) == 1


def test_pause_when_resumed_then_it_goes_on_from_then() -> None:
    queue = Driver()
    put(queue, a_schedule())
    assert queue.do(PauseSchedule("s")) == Done()
    assert queue.do(PauseSchedule("s")) == Done()
    assert queue.state.schedules.next_at() is None
    seen = stands(queue)
    queue.passes(10 * MINUTE)
    assert queue.do(ResumeSchedule(seen, T0 + 11 * MINUTE)) == Done()
    assert queue.do(ResumeSchedule(seen, T0 + 99 * MINUTE)) == Done()
    assert stands(queue).next_at == T0 + 11 * MINUTE


def test_resume_when_its_times_have_changed_meanwhile_then_it_is_shown_instead() -> None:
    queue = Driver()
    put(queue, a_schedule(), paused=True)
    seen = stands(queue)
    put(queue, a_schedule(every_ms=5_000))
    assert queue.do(ResumeSchedule(seen, T0 + MINUTE)) == ScheduleKept(stands(queue))
    assert stands(queue).paused


def test_operation_when_there_is_no_such_schedule_then_refused() -> None:
    queue = Driver()
    refusal = NoSchedule("s")
    asked = (PauseSchedule("s"), ResumeSchedule(a_schedule(), 1), GetSchedule("s"))
    assert [queue.do(op) for op in asked] == [refusal] * 3


def test_list_when_there_are_many_then_pages_by_name() -> None:
    queue = Driver()
    for name in ("c", "a", "d", "b"):
        put(queue, a_schedule(name))
    first, second = queue.do(ListSchedules(3)), queue.do(ListSchedules(3, "c"))
    assert isinstance(first, SchedulePage)
    assert isinstance(second, SchedulePage)
    assert [each.name for each in first.schedules] == ["a", "b", "c"]
    assert [each.name for each in second.schedules] == ["d"]
    assert (first.more, second.more) == (True, False)


def test_due_when_several_then_in_the_order_of_their_times() -> None:
    queue = Driver()
    for name, ms in (("late", 30), ("soon", 10), ("same", 10), ("next", 20)):
        put(queue, a_schedule(name, next_at=T0 + ms))
    due = [each.name for each in queue.state.schedules.due(T0 + 20)]
    assert due == ["same", "soon", "next"]
    assert queue.state.schedules.next_at() == T0 + 10


def test_read_when_written_by_us_then_the_same_bytes_again() -> None:
    queue = Driver()
    put(queue, a_schedule(retry=RetryPolicy(base_ms=1), missed=SKIP))
    put(queue, a_schedule("cron", cron="0 3 * * *", every_ms=None, timezone="Europe/Rome"))
    fire(queue, T0 + MINUTE)
    before = queue.encoded
    queue.reload()
    assert queue.encoded == before
    assert queue.state.schedules.next_at() == T0 + MINUTE


def test_read_when_there_are_fields_that_we_do_not_know_then_they_outlive_every_change() -> None:
    entry = {"name": "s", "everyMs": MINUTE, "createdAt": 1, "nextAt": T0, "colour": ["red"]}
    queue = Driver(state_json(schedules=[entry]))
    fire(queue, T0)
    put(queue, a_schedule(type="u"))
    queue.reload()
    assert queue.json["schedules"][0]["colour"] == ["red"]
    assert queue.json["schedules"][0]["type"] == "u"


@pytest.mark.parametrize(
    "schedules",
    [
        [{}],
        [{"name": 5, "createdAt": 1}],
        [{"name": "s", "createdAt": 1}] * 2,
        ["s"],
        {"s": {}},
    ],
)
def test_read_when_a_schedule_is_malformed_then_refused(schedules: object) -> None:
    with pytest.raises(CorruptStateError):
        Driver(state_json(schedules=schedules))


def test_job_id_when_made_then_of_the_name_and_the_time_alone_and_tells_that() -> None:
    job_id = fired_job_id("nightly", T0)
    assert job_id == fired_job_id("nightly", T0)
    assert id_time(job_id) == T0
    assert len({job_id, fired_job_id("nightl", T0), fired_job_id("nightly", T0 + 1)}) == 3


def test_size_when_schedules_come_and_go_then_it_is_what_they_take() -> None:
    queue = Driver()
    put(queue, a_schedule())
    assert queue.state.size == len(json.dumps(queue.json["schedules"][0], separators=(",", ":")))
    queue.do(DropSchedule("s"))
    assert queue.state.size == 0


def test_restored_state_when_a_time_is_in_the_past_then_it_is_due() -> None:
    queue = Driver()
    put(queue, a_schedule())
    data = queue.encoded
    queue.passes(100 * MINUTE)
    queue.open(data)
    assert [each.name for each in queue.state.schedules.due(queue.now.wall)] == ["s"]
    assert stands(queue) == replace(a_schedule(), created_at=T0)
