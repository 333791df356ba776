"""When a commit begins, when a heartbeat is written, and how seldom the machine is woken."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from osqueue.config import CommitSettings
from osqueue.engine.requests import EndReason

from .conftest import Start
from .harness import START, Trace
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


# A store that is not to be written yet


def test_store_when_it_is_not_ready_then_requests_gather_until_it_is(lead: Start) -> None:
    t = lead()
    t.ready_at = t.now.mono + 2_000
    asked = []
    for number in range(4):
        asked.append(t.submit(f"j{number}"))
        t.runs(499)
    t.runs(3)
    assert t.todo == []
    t.runs(1)
    assert t.asks_for() == ["Write"]
    t.ok()
    assert not any(t.waits(held) for held in asked), "all in one commit"


def test_store_when_it_is_not_ready_for_long_then_what_waits_goes_with_the_heartbeat(
    lead: Start,
) -> None:
    t = lead()
    t.ready_at = t.now.mono + 86_400_000
    asked = t.submit("a")
    t.runs(2_999)
    assert t.todo == []
    t.runs(1)
    t.ok()
    assert not t.waits(asked)
    t.runs(2_999)
    assert t.todo == []
    t.runs(1)
    assert t.asks_for() == ["Write"], "and so do those that come later"


def test_store_when_it_is_not_ready_then_the_machine_is_not_woken_for_it_all_the_time(
    lead: Start,
) -> None:
    t = lead()
    t.ready_at = t.now.mono + 86_400_000
    t.submit("a")
    before = t.wakes
    t.runs(2_900)
    assert t.wakes - before <= 13, "only to see who has waited too long"


def test_store_when_it_is_ready_sooner_than_it_said_then_it_is_asked_only_at_that_time(
    lead: Start,
) -> None:
    t = lead()
    t.ready_at = t.now.mono + 1_000
    t.submit("a")
    t.ready_at = t.now.mono + 1_500
    t.runs(1_000)
    assert t.todo == [], "asked again, it put it off further"
    t.runs(500)
    assert t.asks_for() == ["Write"]


def test_store_when_it_was_not_ready_for_one_commit_then_it_is_asked_anew_for_the_next(
    lead: Start,
) -> None:
    t = lead()
    t.ready_at = t.now.mono + 86_400_000
    t.submit("a")
    t.runs(3_000)
    t.ok()
    t.ready_at = t.now.mono
    t.submit("b")
    assert t.asks_for() == ["Write"]


def test_store_when_it_is_not_ready_then_a_stop_does_not_wait_for_it(lead: Start) -> None:
    t = lead()
    t.ready_at = t.now.mono + 86_400_000
    asked = t.submit("a")
    t.stop()
    t.ok()
    assert not t.waits(asked)
    t.ok()
    assert t.over.reason is EndReason.RELEASED


def test_store_when_it_is_not_ready_then_a_takeover_does_not_wait_for_it() -> None:
    t = Trace(ready_at=START.mono + 86_400_000)
    assert t.asks_for() == ["Write"]
    t.ok()
    t.finish()


@pytest.mark.parametrize("leads", [True, False])
def test_store_when_it_asks_to_slow_down_then_the_same_commit_is_put_again_less_often(
    start: Start, *, leads: bool
) -> None:
    t = start()
    if leads:
        t.ok()
        t.submit("a")
    first = t.write
    times = []
    for _ in range(12):
        times.append(t.now.mono)
        t.busy()
        assert t.goes_on
        while not t.todo:
            t.runs(1)
        assert t.write == first
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == sorted(pauses)
    assert pauses[-1] >= 1_000
    t.ok()
    assert t.committer.leads
