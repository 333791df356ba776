"""When schedules come: cron expressions where clocks change, intervals, and what is refused."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osqueue.broker.timetable import CronTimetable, in_words
from osqueue.errors import BrokerProtocolError, ConfigError
from osqueue.model.schedules import Schedule

TIMES = CronTimetable()


def a_schedule(**fields: Any) -> Schedule:
    return Schedule(name="s", created_at=0, **fields)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1_000)


def after(text: str, **fields: Any) -> str:
    """The next time after this one, in UTC."""
    at = TIMES.next_after(a_schedule(**fields), ms(text))
    assert at is not None
    return datetime.fromtimestamp(at / 1_000, UTC).strftime("%Y-%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("cron", "start", "expected"),
    [
        ("0 3 * * *", "2026-03-01T02:59:59.999Z", "2026-03-01T03:00"),
        ("0 3 * * *", "2026-03-01T03:00:00Z", "2026-03-02T03:00"),
        ("*/5 * * * *", "2026-03-01T03:04:00.001Z", "2026-03-01T03:05"),
        ("30 2 1,15 * *", "2026-03-01T03:00:00Z", "2026-03-15T02:30"),
        ("0 9 * * MON-FRI", "2026-03-06T09:00:00Z", "2026-03-09T09:00"),
        ("0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00"),
        ("0 0 L * *", "2026-02-01T00:00:00Z", "2026-02-28T00:00"),
    ],
)
def test_next_when_by_cron_then_the_first_after(cron: str, start: str, expected: str) -> None:
    assert after(start, cron=cron) == expected


@pytest.mark.parametrize(
    ("cron", "start", "expected"),
    [
        ("30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00"),  # 02:30 is not there: 03:00
        ("30 2 * * *", "2026-03-29T01:00:00Z", "2026-03-30T00:30"),
        ("30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30"),  # it is there twice: the first
        ("30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-26T01:30"),
        ("45 2 * * *", "2026-10-25T01:35:00Z", "2026-10-26T01:45"),  # asked in the second
        ("30 * * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:30"),  # the hour goes by twice
    ],
)
def test_next_when_clocks_change_then_as_debians_cron(cron: str, start: str, expected: str) -> None:
    assert after(start, cron=cron, timezone="Europe/Rome") == expected


@pytest.mark.parametrize(
    ("last", "now", "expected"),
    [
        (None, 7_000, 17_000),
        (5_000, 5_000, 15_000),
        (5_000, 14_999, 15_000),
        (5_000, 15_000, 25_000),
        (5_000, 99_999, 105_000),
        (50_000, 7_000, 60_000),
    ],
)
def test_next_when_at_intervals_then_it_keeps_its_beat(
    last: int | None, now: int, expected: int
) -> None:
    assert TIMES.next_after(a_schedule(every_ms=10_000, next_at=last), now) == expected


def test_next_when_it_comes_never_then_none() -> None:
    schedule = a_schedule(cron="0 0 29 2 *")
    assert TIMES.next_after(schedule, ms("9999-03-01T00:00:00Z")) is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "say either `cron` or `everyMs`"),
        ({"cron": "0 3 * * *", "every_ms": 5_000}, "say either `cron` or `everyMs`"),
        ({"cron": ""}, "has not five fields; write five fields, minute hour day month weekday"),
        ({"cron": "0 3 * *"}, "has not five fields"),
        ({"cron": "0 0 3 * * *"}, "has not five fields"),
        ({"cron": "60 3 * * *"}, "bad minute"),
        ({"cron": "0 0 30 2 *"}, "bad day-of-month"),
        ({"cron": "0 0 31 4,6 *"}, "bad day-of-month"),
        ({"cron": "0 3 * * *", "timezone": "Mars/Olympus"}, "there is no 'Mars/Olympus' here"),
        ({"cron": "0 3 * * *", "timezone": "../../etc/passwd"}, "write a name such as Europe/Rome"),
        ({"cron": "0 3 * * *", "timezone": "/etc/localtime"}, "there is no"),
        ({"cron": "0 3 * * *", "timezone": "Europe"}, "there is no"),
        ({"cron": "0 3 * * *", "timezone": "a\x00b"}, "there is no"),
    ],
)
def test_next_when_it_cannot_be_then_it_says_what_to_write(
    fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(BrokerProtocolError) as refused:
        TIMES.next_after(a_schedule(**fields), 0)
    assert said in refused.value.message


def test_next_when_there_is_no_reader_of_cron_then_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cronsim", None)
    with pytest.raises(ConfigError, match="pip install"):
        TIMES.next_after(a_schedule(cron="0 3 * * *"), 0)
    assert TIMES.next_after(a_schedule(every_ms=1_000), 0) == 1_000


@given(st.lists(st.text("0123456789*/,-#LWlw MONJA²\t", max_size=8), min_size=5, max_size=5))
def test_next_when_it_is_any_text_then_a_later_time_or_a_refusal(fields: list[str]) -> None:
    schedule = a_schedule(cron=" ".join(fields), timezone="Europe/Rome")
    now = ms("2026-03-29T00:59:30.500Z")
    try:
        at = TIMES.next_after(schedule, now)
    except BrokerProtocolError:
        return
    assert at is None or (at > now and at % 60_000 == 0)
    assert in_words(schedule).endswith(", Europe/Rome")


@given(st.integers(ms("2026-10-24T00:00:00Z"), ms("2026-10-26T00:00:00Z")))
def test_next_when_asked_at_any_moment_of_a_change_then_it_lies_ahead(now: int) -> None:
    for cron in ("30,45 2 * * *", "*/7 * * * *", "15 2,3 * * *"):
        at = TIMES.next_after(a_schedule(cron=cron, timezone="Europe/Rome"), now)
        assert at is not None
        assert at > now


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cron": "0 3 * * *", "timezone": "Europe/Rome"}, "At 03:00 every day, Europe/Rome"),
        ({"cron": "*/5 * * * *"}, "Every fifth minute of every hour, UTC"),
        ({"cron": "no cron"}, "no cron, UTC"),
        ({"every_ms": 86_400_000}, "every day"),
        ({"every_ms": 7_200_000}, "every 2 hours"),
        ({"every_ms": 90_000}, "every 90 seconds"),
        ({"every_ms": 1_500}, "every 1.5 seconds"),
    ],
)
def test_words_when_asked_for_then_a_person_reads_them(fields: dict[str, Any], words: str) -> None:
    assert in_words(a_schedule(**fields)) == words
