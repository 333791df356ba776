"""Leases end only for time in which the broker served; ends are looked at by themselves."""

from __future__ import annotations

import json

import pytest

from osqueue.config import CommitSettings, QueueLimits
from osqueue.model.outcomes import Done, Results

from .conftest import Start
from .harness import Trace
from .objects import edited

LEASE_MS, GRACE_MS = 30_000, 50


def statuses(data: bytes) -> dict[str, str]:
    return {job["id"]: job["status"] for job in json.loads(data)["jobs"]}


def runs(t: Trace, ms: int) -> None:
    """Time passes, and the store takes every write at once."""
    until = t.now.mono + ms
    while t.now.mono < until:
        t.runs(max(1, min(t.wake, until) - t.now.mono))
        answer(t)


def answer(t: Trace) -> None:
    while t.todo:
        if t.asks_for() == ["Check"]:
            t.checks()
        else:
            t.ok()


def leased(lead: Start, *, gap_ms: int = 0, **settings: object) -> Trace:
    """Two running jobs, ``a`` and ``b``; the second was claimed a little later."""
    t = lead(**settings)
    t.submit("a", "b")
    answer(t)
    t.claim()
    answer(t)
    runs(t, gap_ms)
    t.claim()
    answer(t)
    return t


def state(t: Trace) -> dict[str, str]:
    assert t.stored is not None
    return statuses(t.stored.data)


RUNNING = {"a": "in_progress", "b": "in_progress"}
FREE = {"a": "unclaimed", "b": "unclaimed"}


def test_lease_when_no_heartbeat_comes_then_it_ends_by_itself_after_the_grace(lead: Start) -> None:
    t = leased(lead)
    runs(t, LEASE_MS + GRACE_MS - 1)
    assert state(t) == RUNNING
    runs(t, 1)
    assert state(t) == FREE


def test_lease_when_a_heartbeat_comes_within_the_grace_then_it_lives_on(lead: Start) -> None:
    t = leased(lead)
    runs(t, LEASE_MS + GRACE_MS - 1)
    beat = t.heartbeat(t.grants(t.asked[1])[0])
    answer(t)
    assert t.outcome(beat) == Results((Done(),))
    runs(t, 2)
    assert state(t) == {"a": "in_progress", "b": "unclaimed"}
    runs(t, LEASE_MS - 10)
    assert state(t) == {"a": "in_progress", "b": "unclaimed"}


def test_lease_when_another_was_due_before_it_then_it_still_gets_its_own_grace(
    lead: Start,
) -> None:
    t = leased(lead, gap_ms=40)
    runs(t, LEASE_MS - 40 + GRACE_MS)
    assert state(t) == {"a": "unclaimed", "b": "in_progress"}
    beat = t.heartbeat(t.grants(t.asked[2])[0])
    answer(t)
    assert t.outcome(beat) == Results((Done(),))
    runs(t, 5_000)
    assert state(t) == {"a": "unclaimed", "b": "in_progress"}


def test_lease_when_heartbeats_come_then_it_never_ends(lead: Start) -> None:
    t = leased(lead)
    for _ in range(10):
        runs(t, 10_000)
        t.heartbeat(t.grants(t.asked[1])[0])
        answer(t)
    assert state(t) == {"a": "in_progress", "b": "unclaimed"}


@pytest.mark.parametrize("pause_ms", [1_002, 45_000, 10_000_000])
def test_lease_when_the_process_stood_still_then_it_gets_that_time_back(
    lead: Start, pause_ms: int
) -> None:
    t = leased(lead)
    runs(t, 20_000)
    t.pause(t.wake - t.now.mono)
    t.passes(pause_ms)
    answer(t)
    runs(t, 6_900)
    assert state(t) == RUNNING
    runs(t, 3_200)
    assert state(t) == FREE


def test_lease_when_the_process_stood_still_right_after_an_event_then_it_gets_that_time_back(
    lead: Start,
) -> None:
    """Between an event and the step that follows it, no wake is under way to be late for."""
    t = leased(lead)
    runs(t, 20_000)
    t.event_then_pause(60_000)
    answer(t)
    runs(t, 6_000)
    assert state(t) == RUNNING


def test_lease_when_a_short_pause_comes_then_it_ends_as_if_there_was_none(lead: Start) -> None:
    t = leased(lead)
    runs(t, 20_000)
    t.pause(t.wake - t.now.mono)
    t.passes(900)
    answer(t)
    runs(t, LEASE_MS + GRACE_MS - (t.now.mono - 5_000))
    assert state(t) == FREE


def test_lease_when_the_store_is_unresolved_then_that_time_does_not_count(lead: Start) -> None:
    t = leased(lead)
    runs(t, 20_000)
    t.submit("c")
    t.unless_heard(60_000)
    while t.asks_for() != ["Write"]:
        t.runs(50)
    t.ok()
    answer(t)
    runs(t, 8_000)
    assert state(t) == RUNNING | {"c": "unclaimed"}
    runs(t, 2_200)
    assert state(t) == FREE | {"c": "unclaimed"}


def test_lease_when_the_store_hangs_then_that_time_does_not_count(lead: Start) -> None:
    t = leased(lead)
    runs(t, 20_000)
    t.submit("c")
    t.runs(19_000)
    t.ok()
    answer(t)
    runs(t, 8_900)
    assert state(t) == RUNNING | {"c": "unclaimed"}


def test_lease_when_due_while_the_store_is_unresolved_then_it_is_kept_until_it_answers(
    lead: Start,
) -> None:
    t = leased(lead)
    runs(t, LEASE_MS - 10)
    t.submit("c")
    t.runs(15)
    t.unclear()
    t.unless_heard(60_000)
    while t.asks_for() != ["Write"]:
        t.runs(50)
    t.ok()
    beat = t.heartbeat(t.grants(t.asked[1])[0])
    answer(t)
    assert t.outcome(beat) == Results((Done(),))
    runs(t, 1_000)
    assert state(t) == {"a": "in_progress", "b": "unclaimed", "c": "unclaimed"}


def test_lease_when_the_object_was_edited_then_it_gets_a_full_timeout(lead: Start) -> None:
    t = leased(lead)
    runs(t, LEASE_MS - 100)
    t.submit("c")
    assert t.stored is not None
    t.puts(edited(t.stored.data, note="by hand"))
    t.conflicts()
    t.reads()
    answer(t)
    runs(t, LEASE_MS - 100)
    assert state(t) == RUNNING | {"c": "unclaimed"}
    runs(t, 200)
    assert state(t) == FREE | {"c": "unclaimed"}


def test_lease_when_another_broker_granted_it_then_it_gets_a_full_timeout(
    lead: Start, start: Start
) -> None:
    first = leased(lead)
    assert first.stored is not None
    second = start(first.stored.data, epoch=101)
    answer(second)
    runs(second, LEASE_MS - 1)
    assert state(second) == RUNNING
    runs(second, 100)
    assert state(second) == FREE


def test_lease_when_its_end_is_out_of_attempts_then_it_is_a_dead_letter(lead: Start) -> None:
    t = lead(limits=QueueLimits(lease_timeout_ms=1_000))
    t.submit("a")
    for _ in range(3):
        answer(t)
        t.claim()
        answer(t)
        runs(t, 1_100)
    assert state(t) == {"a": "dead"}


def test_lease_when_it_ends_while_a_claim_waits_then_that_gets_the_job(lead: Start) -> None:
    t = leased(lead)
    waiting = t.claim(waits=True)
    runs(t, LEASE_MS + GRACE_MS)
    assert t.grants(waiting)[0].id == "a"


def test_lease_when_wall_clock_steps_then_nothing_ends_early_or_late(lead: Start) -> None:
    for step_ms in (-86_400_000, 86_400_000):
        t = leased(lead)
        runs(t, 10_000)
        t.wall_steps(step_ms)
        runs(t, LEASE_MS - 10_000 - 1)
        assert state(t) == RUNNING
        runs(t, GRACE_MS + 1)
        assert state(t) == FREE


# Waking


def test_wakes_when_idle_then_there_are_hardly_any(lead: Start) -> None:
    t = leased(lead)
    before = t.wakes
    runs(t, 20_000)
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
    if what == "unresolved":
        t.reads()
        t.unless_heard(10_000)
    else:
        t.runs(10_000)
    assert t.wakes - before <= 10 * (4 + 2) + 20


def test_wakes_when_a_lease_is_due_and_the_store_unresolved_then_there_are_few(
    lead: Start,
) -> None:
    t = leased(lead)
    runs(t, LEASE_MS - 10)
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
    assert t.stored is not None
    before = json.loads(t.stored.data)
    t.runs(3_000)
    after = json.loads(t.write.data)
    assert after["brokerHeartbeat"] == t.now.wall
    assert after["commit"] != before["commit"]
