"""Stopping: drain, give leadership back, tell everybody the truth."""

from __future__ import annotations

import json

import pytest

from osqueue.engine.requests import EndReason
from osqueue.errors import CommitUnknownError, EngineStateError
from osqueue.model.outcomes import Counts, Submitted
from osqueue.model.snapshot import read_origin

from .conftest import Start
from .objects import edited, job_ids, taken_over


def test_stop_when_idle_then_leadership_is_given_back_by_one_commit(lead: Start) -> None:
    t = lead()
    t.stop()
    whole = json.loads(t.write.data)
    assert whole["broker"] is None
    assert "brokerId" not in whole
    assert t.goes_on
    t.ok()
    assert t.over.reason is EndReason.RELEASED
    assert not t.committer.leads


def test_stop_when_work_is_pending_then_it_is_committed_before_the_release(lead: Start) -> None:
    t = lead()
    in_flight = t.submit("a")
    pending, waiting = t.submit("b"), t.claim("none", waits=True)
    t.stop()
    refused = t.submit("c")
    for held in (waiting, refused):
        refusal = t.refusal(held)
        assert isinstance(refusal, EngineStateError)
        assert refusal.applied == "no"
    t.ok()
    assert t.outcome(in_flight) == Submitted(1)
    assert read_origin(t.write.data).broker == "me:1"
    t.ok()
    assert t.outcome(pending) == Submitted(1)
    assert read_origin(t.write.data).broker is None
    assert job_ids(t.write.data) == ["a", "b"]
    t.ok()
    assert t.over.reason is EndReason.RELEASED


@pytest.mark.parametrize("when", ["before it is durable", "after the end"])
def test_stop_when_requests_come_after_the_release_is_fixed_then_none_is_applied(
    lead: Start, when: str
) -> None:
    t = lead()
    t.stop()
    released = t.write.data
    if when == "after the end":
        t.ok()
    late = [t.submit("a"), t.stats(), t.claim(waits=True)]
    assert [t.refusal(held).applied for held in late] == ["no"] * 3
    assert all(isinstance(held.error, EngineStateError) for held in late)
    if when == "before it is durable":
        t.ok()
    assert t.data == released


def test_stop_when_release_is_unknown_then_it_is_put_again(lead: Start) -> None:
    t = lead()
    t.stop()
    release = t.write
    t.lands(release)
    t.unclear()
    t.runs(100)
    assert t.write == release
    t.conflicts()
    t.reads()
    assert t.over.reason is EndReason.RELEASED


def test_stop_when_a_commit_is_unresolved_then_no_release_is_written(lead: Start) -> None:
    t = lead()
    in_flight, pending = t.submit("a"), t.submit("b")
    write = t.write
    t.unclear()
    t.stop()
    t.runs(5_000)
    assert t.write == write
    t.abandon()
    assert t.over.reason is EndReason.STOPPED
    refusal = t.refusal(in_flight)
    assert isinstance(refusal, CommitUnknownError)
    assert refusal.applied == "unknown"
    assert t.refusal(pending).applied == "no"


def test_stop_when_release_was_edited_before_it_then_it_is_released_all_the_same(
    lead: Start,
) -> None:
    t = lead()
    t.stop()
    t.puts(edited(t.data, note="by hand"))
    t.conflicts()
    t.reads()
    for _ in range(2):
        if t.goes_on:
            t.ok()
    assert t.over.reason is EndReason.RELEASED
    assert read_origin(t.data).broker is None
    assert json.loads(t.data)["note"] == "by hand"


def test_stop_when_release_was_edited_after_it_then_it_has_ended(lead: Start) -> None:
    t = lead()
    t.stop()
    t.puts(edited(t.write.data, note="by hand"))
    t.conflicts()
    t.reads()
    assert t.over.reason is EndReason.RELEASED
    assert t.todo == []


def test_stop_when_another_leads_meanwhile_then_it_is_fenced(lead: Start) -> None:
    t = lead()
    t.stop()
    t.puts(taken_over(t.data, epoch=101))
    t.conflicts()
    t.reads()
    assert t.over.reason is EndReason.FENCED


def test_stop_when_object_is_gone_then_it_is_created_and_released(lead: Start) -> None:
    t = lead()
    t.submit("a")
    t.ok()
    t.stop()
    t.vanishes()
    t.missing()
    t.reads()
    t.ok()
    t.ok()
    assert t.over.reason is EndReason.RELEASED
    assert job_ids(t.data) == ["a"]


def test_stop_when_reads_wait_for_a_confirmation_then_they_are_answered(lead: Start) -> None:
    t = lead()
    t.runs(1_100)
    reads = t.stats()
    assert t.waits(reads)
    t.stop()
    if not t.waits(reads):
        assert t.refusal(reads).applied == "no"
    else:
        t.ok()
        assert isinstance(t.outcome(reads), Counts)


def test_stop_when_it_has_not_led_yet_then_it_takes_and_gives_back(start: Start) -> None:
    t = start()
    t.stop()
    t.ok()
    t.ok()
    assert t.over.reason is EndReason.RELEASED


def test_stop_when_told_twice_then_it_stops_once(lead: Start) -> None:
    t = lead()
    t.stop()
    t.stop()
    t.ok()
    t.stop()
    t.abandon()
    assert t.over.reason is EndReason.RELEASED


def test_stop_when_heartbeats_are_due_meanwhile_then_none_is_written(lead: Start) -> None:
    t = lead()
    t.stop()
    t.ok()
    t.passes(10_000)
    assert t.todo == []


def test_abandon_when_it_has_ended_then_the_first_end_stands(lead: Start) -> None:
    t = lead()
    t.abandon()
    first = t.end
    t.abandon()
    assert t.end is first
    assert first is not None
    assert first.reason is EndReason.STOPPED
