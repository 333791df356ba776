from __future__ import annotations

from uuid import RFC_4122, UUID

import pytest

from osqueue.clock import SystemClock, SystemEntropy
from osqueue.model.batches import BatchName, batch_key, hour_of, id_time

AT = 1_800_000_000_000
EARLY, LATE = "01a2013f-4f08-72f1-b416-d1344c1b0077", "01a2013f-4f1e-77a2-a0b9-7091541d80a6"


def named(*job_ids: str, at: int = AT) -> BatchName:
    name = BatchName.parse(batch_key(job_ids, at, "token"))
    assert name is not None
    return name


def test_hour_when_asked_then_it_is_that_of_utc() -> None:
    assert hour_of(0) == "1970-01-01T00"
    assert hour_of(3_600_000 - 1) == "1970-01-01T00"
    assert hour_of(3_600_000) == "1970-01-01T01"
    assert hour_of(AT) == "2027-01-15T08"


def test_id_time_when_it_is_our_id_then_the_time_of_its_making() -> None:
    before = SystemClock().wall_ms()
    time = id_time(SystemEntropy().job_id())
    assert time is not None
    assert before <= time <= SystemClock().wall_ms()


def test_ids_when_made_at_once_then_each_is_a_uuid_of_its_own_and_of_now() -> None:
    before = SystemClock().wall_ms()
    ids = SystemEntropy().job_ids(1_000)
    assert len(set(ids)) == 1_000
    assert {(UUID(job_id).version, UUID(job_id).variant) for job_id in ids} == {(7, RFC_4122)}
    assert {str(UUID(job_id)) for job_id in ids} == set(ids)
    assert {before <= (id_time(job_id) or 0) <= SystemClock().wall_ms() for job_id in ids} == {True}
    assert SystemEntropy().job_ids(0) == []


@pytest.mark.parametrize(
    "job_id",
    ["", "a", "c232ab00-9414-41ec-b3c8-9f6bdeced846", EARLY[:-1], EARLY + "0", "x" + EARLY[1:]],
)
def test_id_time_when_the_id_carries_none_then_none(job_id: str) -> None:
    assert id_time(job_id) is None


def test_key_when_made_then_it_tells_hour_and_range() -> None:
    name = named(LATE, EARLY)
    first, last = id_time(EARLY), id_time(LATE)
    assert (name.hour, name.first, name.last) == ("2027-01-15T08", first, last)
    assert name.key == "archive/2027-01-15T08/01a3185c5000-01a2013f4f08-01a2013f4f1e-token.jsonl"


def test_batch_when_all_ids_carry_times_then_only_those_between_may_be_in_it() -> None:
    name = named(LATE, EARLY)
    first, last = name.first, name.last
    assert [name.may_hold(time) for time in (first, first + 1, last)] == [True] * 3
    assert [name.may_hold(time) for time in (first - 1, last + 1, None)] == [False] * 3


def test_batch_when_an_id_carries_no_time_then_any_may_be_in_it() -> None:
    name = named(EARLY, "mine")
    assert name.may_hold(None)
    assert name.may_hold(0)
    assert name.may_hold(AT)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "archive/readme.txt",
        "archive/2027-01-15T08/x.jsonl",
        "archive/2027-01-15/01a3185c5000-01a2013f4f08-01a2013f4f1e-token.jsonl",
        "other/2027-01-15T08/01a3185c5000-01a2013f4f08-01a2013f4f1e-token.jsonl",
        "archive/2027-01-15T08/01a3185c5000-01a2013f4f08-01a2013f4f1e-token.json",
        "archive/2027-01-15T08/01a3185c5000-01a2013f4f08-01a2013f4f1e-a/b.jsonl",
    ],
)
def test_name_when_the_key_is_of_something_else_then_none(key: str) -> None:
    assert BatchName.parse(key) is None
