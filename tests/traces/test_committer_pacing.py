"""When a commit begins, when a heartbeat is written, and how seldom the machine is woken."""

from __future__ import annotations

import json

import pytest

from osqueue.config import CommitSettings

from .conftest import Start
from .harness import Trace
from .objects import older

LEASE_MS = 30_000


def leased(lead: Start) -> Trace:
    """A leader with a job that runs."""
    t = lead()
    t.submit("a")
    t.claim()
    t.settles()
    return t


# Waking


def test_wakes_when_idle_then_there_are_hardly_any(lead: Start) -> None:
    t = leased(lead)
    before = t.wakes
    t.goes_well(20_000)
    assert t.wakes - before <= 20


@pytest.mark.parametrize("what", ["in flight", "unresolved", "reading back", "saving"])
def test_wakes_when_requests_wait_for_the_store_then_there_are_few(lead: Start, what: str) -> None:
    t = lead()
    t.submit("a")
    t.submit("b")
    t.stats()
    if what != "in flight":
        t.conflicts()
    before = t.wakes
    if what == "saving":
        t.puts(older(t.data))
    if what in {"saving", "unresolved"}:
        t.reads()
    if what == "unresolved":
        t.unless_heard(10_000)
    else:
        t.runs(10_000)
    assert t.wakes - before <= 10 * (4 + 2) + 20


def test_wakes_when_a_lease_is_due_and_the_store_unresolved_then_there_are_few(
    lead: Start,
) -> None:
    t = leased(lead)
    t.goes_well(LEASE_MS - 10)
    t.submit("c")
    t.runs(12)
    t.unclear()
    before = t.wakes
    t.unless_heard(10_000)
    assert t.wakes - before <= 300, "50 ms steps of this test, patrols and retries"


def test_wakes_when_a_check_fails_then_there_are_few(lead: Start) -> None:
    t = lead()
    t.runs(1_500)
    t.stats()
    before = t.wakes
    t.fails_to_check()
    t.runs(249)
    assert t.wakes - before <= 3


# Pacing


def test_pacing_when_an_interval_is_set_then_commits_begin_no_sooner(lead: Start) -> None:
    t = lead(commit=CommitSettings(interval_ms=100))
    t.submit("a")
    assert t.todo == []
    t.runs(99)
    assert t.todo == []
    t.runs(1)
    t.ok()
    t.submit("b")
    t.runs(99)
    assert t.todo == []
    t.runs(1)
    assert t.asks_for() == ["Write"]


def test_pacing_when_encoding_is_dear_and_requests_keep_coming_then_it_takes_its_share(
    lead: Start,
) -> None:
    t = lead()
    t.encode_us = 10_000
    t.submit("first")
    t.ok()
    began = t.now.mono
    while not t.todo:
        t.submit(f"j{t.now.mono}")
        t.runs(1)
    assert t.now.mono - began == 50


def test_pacing_when_requests_stay_away_then_it_begins_in_the_lull(lead: Start) -> None:
    t = lead()
    t.encode_us = 10_000
    t.submit("first")
    t.ok()
    t.submit("a")
    t.runs(19)
    assert t.todo == []
    t.runs(1)
    assert t.asks_for() == ["Write"], "twice the encoding's time after the last one began"


def test_pacing_when_encoding_is_cheap_then_commits_run_back_to_back(lead: Start) -> None:
    t = lead()
    for number in range(5):
        t.submit(f"j{number}")
        assert t.asks_for() == ["Write"]
        t.ok()


def test_leader_when_idle_then_it_writes_one_heartbeat_an_interval(lead: Start) -> None:
    t = lead()
    writes = 0
    for _ in range(30):
        t.runs(1_000)
        if t.todo:
            writes += 1
            t.ok()
    assert writes == 10


def test_leader_when_other_commits_come_then_it_writes_no_heartbeat_of_its_own(
    lead: Start,
) -> None:
    t = lead()
    for number in range(10):
        t.runs(2_000)
        assert t.todo == []
        t.submit(f"j{number}")
        t.ok()


def test_heartbeat_when_it_is_written_then_it_shows_the_time_and_a_new_commit(lead: Start) -> None:
    t = lead()
    before = json.loads(t.data)
    t.runs(3_000)
    after = json.loads(t.write.data)
    assert after["brokerHeartbeat"] == t.now.wall
    assert after["commit"] != before["commit"]
