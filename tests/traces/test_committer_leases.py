"""Leases end only for time in which the broker served; ends are looked at by themselves."""

from __future__ import annotations

import json

import pytest

from osqueue.config import QueueLimits
from osqueue.model.outcomes import Done, Results

from .conftest import Start
from .harness import Trace
from .objects import edited

LEASE_MS, GRACE_MS = 30_000, 50


def statuses(data: bytes) -> dict[str, str]:
    return {job["id"]: job["status"] for job in json.loads(data)["jobs"]}


def leased(lead: Start, *, gap_ms: int = 0, **settings: object) -> Trace:
    """Two running jobs, ``a`` and ``b``; the second was claimed a little later."""
    t = lead(**settings)
    t.submit("a", "b")
    t.settles()
    t.claim()
    t.settles()
    t.goes_well(gap_ms)
    t.claim()
    t.settles()
    return t


def state(t: Trace) -> dict[str, str]:
    return statuses(t.data)


RUNNING = {"a": "in_progress", "b": "in_progress"}
FREE = {"a": "unclaimed", "b": "unclaimed"}


def test_lease_when_no_heartbeat_comes_then_it_ends_by_itself_after_the_grace(lead: Start) -> None:
    t = leased(lead)
    t.goes_well(LEASE_MS + GRACE_MS - 1)
    assert state(t) == RUNNING
    t.goes_well(1)
    assert state(t) == FREE


def test_lease_when_a_heartbeat_comes_within_the_grace_then_it_lives_on(lead: Start) -> None:
    t = leased(lead)
    t.goes_well(LEASE_MS + GRACE_MS - 1)
    beat = t.heartbeat(t.grants(t.asked[1])[0])
    t.settles()
    assert t.outcome(beat) == Results((Done(),))
    t.goes_well(2)
    assert state(t) == {"a": "in_progress", "b": "unclaimed"}
    t.goes_well(LEASE_MS - 10)
    assert state(t) == {"a": "in_progress", "b": "unclaimed"}


def test_lease_when_another_was_due_before_it_then_it_still_gets_its_own_grace(
    lead: Start,
) -> None:
    t = leased(lead, gap_ms=40)
    t.goes_well(LEASE_MS - 40 + GRACE_MS)
    assert state(t) == {"a": "unclaimed", "b": "in_progress"}
    beat = t.heartbeat(t.grants(t.asked[2])[0])
    t.settles()
    assert t.outcome(beat) == Results((Done(),))
    t.goes_well(5_000)
    assert state(t) == {"a": "unclaimed", "b": "in_progress"}


def test_lease_when_heartbeats_come_then_it_never_ends(lead: Start) -> None:
    t = leased(lead)
    for _ in range(10):
        t.goes_well(10_000)
        t.heartbeat(t.grants(t.asked[1])[0])
        t.settles()
    assert state(t) == {"a": "in_progress", "b": "unclaimed"}


@pytest.mark.parametrize("pause_ms", [1_002, 45_000, 10_000_000])
def test_lease_when_the_process_stood_still_then_it_gets_that_time_back(
    lead: Start, pause_ms: int
) -> None:
    t = leased(lead)
    t.goes_well(20_000)
    t.pause(t.wake - t.now.mono)
    t.passes(pause_ms)
    t.settles()
    t.goes_well(6_900)
    assert state(t) == RUNNING
    t.goes_well(3_200)
    assert state(t) == FREE


def test_lease_when_the_process_stood_still_right_after_an_event_then_it_gets_that_time_back(
    lead: Start,
) -> None:
    """Between an event and the step that follows it, no wake is under way to be late for."""
    t = leased(lead)
    t.goes_well(20_000)
    t.event_then_pause(60_000)
    t.settles()
    t.goes_well(6_000)
    assert state(t) == RUNNING


def test_lease_when_a_short_pause_comes_then_it_ends_as_if_there_was_none(lead: Start) -> None:
    t = leased(lead)
    t.goes_well(20_000)
    t.pause(t.wake - t.now.mono)
    t.passes(900)
    t.settles()
    t.goes_well(LEASE_MS + GRACE_MS - (t.now.mono - 5_000))
    assert state(t) == FREE


def test_lease_when_the_store_is_unresolved_then_that_time_does_not_count(lead: Start) -> None:
    t = leased(lead)
    t.goes_well(20_000)
    t.submit("c")
    t.unless_heard(60_000)
    while t.asks_for() != ["Write"]:
        t.runs(50)
    t.ok()
    t.settles()
    t.goes_well(8_000)
    assert state(t) == RUNNING | {"c": "unclaimed"}
    t.goes_well(2_200)
    assert state(t) == FREE | {"c": "unclaimed"}


def test_lease_when_the_store_hangs_then_that_time_does_not_count(lead: Start) -> None:
    t = leased(lead)
    t.goes_well(20_000)
    t.submit("c")
    t.runs(19_000)
    t.ok()
    t.settles()
    t.goes_well(8_900)
    assert state(t) == RUNNING | {"c": "unclaimed"}


def test_lease_when_due_while_the_store_is_unresolved_then_it_is_kept_until_it_answers(
    lead: Start,
) -> None:
    t = leased(lead)
    t.goes_well(LEASE_MS - 10)
    t.submit("c")
    t.runs(15)
    t.unclear()
    t.unless_heard(60_000)
    while t.asks_for() != ["Write"]:
        t.runs(50)
    t.ok()
    beat = t.heartbeat(t.grants(t.asked[1])[0])
    t.settles()
    assert t.outcome(beat) == Results((Done(),))
    t.goes_well(1_000)
    assert state(t) == {"a": "in_progress", "b": "unclaimed", "c": "unclaimed"}


def test_lease_when_the_object_was_edited_then_it_gets_a_full_timeout(lead: Start) -> None:
    t = leased(lead)
    t.goes_well(LEASE_MS - 100)
    t.submit("c")
    t.puts(edited(t.data, note="by hand"))
    t.conflicts()
    t.reads()
    t.settles()
    t.goes_well(LEASE_MS - 100)
    assert state(t) == RUNNING | {"c": "unclaimed"}
    t.goes_well(200)
    assert state(t) == FREE | {"c": "unclaimed"}


def test_lease_when_renewed_before_the_object_was_reread_then_it_gets_a_full_timeout(
    lead: Start,
) -> None:
    """The heartbeat is applied again, and must not make the lease shorter than the reading did."""
    t = leased(lead)
    t.runs(1_100)
    beat = t.heartbeat(t.grants(t.asked[1])[0])
    t.runs(800)
    t.puts(edited(t.data, note="by hand"))
    t.checks()
    t.settles()
    assert t.outcome(beat) == Results((Done(),))
    t.goes_well(LEASE_MS - 1)
    assert state(t) == RUNNING
    t.goes_well(GRACE_MS + 1)
    assert state(t) == FREE


def test_lease_when_another_broker_granted_it_then_it_gets_a_full_timeout(
    lead: Start, start: Start
) -> None:
    first = leased(lead)
    second = start(first.data, epoch=101)
    second.settles()
    second.goes_well(LEASE_MS - 1)
    assert state(second) == RUNNING
    second.goes_well(100)
    assert state(second) == FREE


def test_lease_when_its_end_is_out_of_attempts_then_it_is_a_dead_letter(lead: Start) -> None:
    t = lead(limits=QueueLimits(lease_timeout_ms=1_000))
    t.submit("a")
    for _ in range(3):
        t.settles()
        t.claim()
        t.settles()
        t.goes_well(1_100)
    assert state(t) == {"a": "dead"}


def test_lease_when_it_ends_while_a_claim_waits_then_that_gets_the_job(lead: Start) -> None:
    t = leased(lead)
    waiting = t.claim(waits=True)
    t.goes_well(LEASE_MS + GRACE_MS)
    assert t.grants(waiting)[0].id == "a"


def test_lease_when_wall_clock_steps_then_nothing_ends_early_or_late(lead: Start) -> None:
    for step_ms in (-86_400_000, 86_400_000):
        t = leased(lead)
        t.goes_well(10_000)
        t.wall_steps(step_ms)
        t.goes_well(LEASE_MS - 10_000 - 1)
        assert state(t) == RUNNING
        t.goes_well(GRACE_MS + 1)
        assert state(t) == FREE
