"""Payload objects are given up when the commit that ended their jobs is durable, not before."""

from __future__ import annotations

import json

import pytest

from osqueue.engine.requests import EndReason, Held
from osqueue.model import ops
from osqueue.model.job import LargePayload
from osqueue.model.outcomes import Done, NotFound, PayloadKeys, PayloadOutdated, Submitted

from .conftest import Start
from .harness import EPOCH, Trace
from .objects import edited, taken_over, without_job


@pytest.fixture
def with_job(lead: Start) -> Trace:
    """A leader whose durable state names the payload object of a job ``a``."""
    t = lead()
    t.submit_large("a")
    t.ok()
    return t


def test_object_when_its_job_is_completed_then_given_up_with_the_commit(with_job: Trace) -> None:
    t = with_job
    claim = t.claim()
    t.ok()
    (grant,) = t.grants(claim)
    t.complete(grant)
    assert t.discarded == []
    t.ok()
    assert t.discarded == [t.key("a")]
    t.goes_well(10_000)
    assert t.discarded == [t.key("a")]


def test_object_when_its_job_ends_while_a_write_is_under_way_then_with_the_next_commit(
    with_job: Trace,
) -> None:
    t = with_job
    t.submit("b")
    t.cancel("a")
    t.ok()
    assert t.discarded == []
    t.ok()
    assert t.discarded == [t.key("a")]


def test_object_when_submit_and_end_share_a_commit_then_given_up_with_it(lead: Start) -> None:
    t = lead()
    t.submit("b")
    t.submit_large("a")
    t.cancel("a")
    t.ok()
    assert t.discarded == []
    t.ok()
    assert t.discarded == [t.key("a")]


def test_object_when_the_commit_is_unresolved_then_kept_until_it_lands(with_job: Trace) -> None:
    t = with_job
    t.cancel("a")
    for _ in range(3):
        t.unclear()
        assert t.discarded == []
        t.runs(2_100)
    t.ok()
    assert t.discarded == [t.key("a")]


def test_object_when_the_commit_is_found_to_have_landed_then_given_up(with_job: Trace) -> None:
    t = with_job
    t.cancel("a")
    t.lands(t.write)
    t.conflicts()
    assert t.discarded == []
    t.reads()
    assert t.discarded == [t.key("a")]


@pytest.mark.parametrize("landed", [False, True])
def test_object_when_the_commit_is_fenced_then_left_to_the_next_leader(
    with_job: Trace, landed: bool
) -> None:
    t = with_job
    t.cancel("a")
    t.puts(taken_over(t.write.data if landed else t.data, epoch=EPOCH + 1))
    t.conflicts()
    t.reads()
    assert t.over.reason is EndReason.FENCED
    assert t.discarded == []


def test_object_when_stopped_with_the_commit_unresolved_then_kept(with_job: Trace) -> None:
    t = with_job
    t.cancel("a")
    t.unclear()
    t.abandon()
    assert t.discarded == []


def test_object_when_the_commit_was_edited_by_hand_then_left_to_the_sweeper(
    with_job: Trace,
) -> None:
    """The edit may have put the job back."""
    t = with_job
    jobs = json.loads(t.data)["jobs"]
    cancelled = t.cancel("a")
    t.puts(edited(t.write.data, jobs=jobs, finished=[]))
    t.conflicts()
    t.reads()
    assert t.outcome(cancelled) == Done()
    assert t.discarded == []
    named = t.ask(ops.GetPayloadKeys())
    t.settles()
    assert t.outcome(named) == PayloadKeys(frozenset({t.key("a")}))
    t.cancel("a")
    t.settles()
    assert t.discarded == [t.key("a")]


def test_object_when_the_base_was_edited_by_hand_then_given_up_with_the_commit_made_again(
    with_job: Trace,
) -> None:
    t = with_job
    cancelled = t.cancel("a")
    t.puts(edited(t.data, note="by hand"))
    t.conflicts()
    t.reads()
    assert t.discarded == []
    t.ok()
    assert t.outcome(cancelled) == Done()
    assert t.discarded == [t.key("a")]


def test_object_when_its_job_was_taken_out_by_hand_then_left_to_the_sweeper(
    with_job: Trace,
) -> None:
    t = with_job
    cancelled = t.cancel("a")
    t.puts(without_job(t.data, "a"))
    t.conflicts()
    t.reads()
    t.settles()
    assert t.outcome(cancelled) == NotFound("a")
    assert t.discarded == []


def test_object_when_the_state_vanished_under_an_unclear_end_then_kept(with_job: Trace) -> None:
    """The state is created again with the job."""
    t = with_job
    t.cancel("a")
    t.unclear()
    t.vanishes()
    t.runs(100)
    t.missing()
    t.reads()
    t.settles()
    assert t.discarded == []
    named = t.ask(ops.GetPayloadKeys())
    t.settles()
    assert t.outcome(named) == PayloadKeys(frozenset({t.key("a")}))


def test_submit_when_the_state_was_created_again_meanwhile_then_it_must_be_written_again(
    lead: Start,
) -> None:
    t = lead()
    t.submit("b")
    large = t.submit_large("a")
    t.vanishes()
    t.missing()
    t.reads()
    t.settles()
    assert t.outcome(large) == PayloadOutdated(t.key("a"))


def test_keys_when_asked_for_then_told_only_once_what_they_rest_on_is_durable(
    with_job: Trace,
) -> None:
    t = with_job
    t.submit_large("b")
    t.cancel("a")
    named = t.ask(ops.GetPayloadKeys())
    t.ok()
    assert t.waits(named)
    t.ok()
    assert t.outcome(named) == PayloadKeys(frozenset({t.key("b")}))


def test_object_when_an_operation_fails_inside_then_given_up_once_all_the_same(
    with_job: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    t = with_job
    t.submit("b")
    t.cancel("a")

    def fails(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("osqueue.model.apply._retry", fails)
        faulty: Held = t.ask(ops.Retry("b"))
    assert not t.refusal(faulty).retryable
    t.ok()
    assert t.discarded == []
    t.ok()
    assert t.discarded == [t.key("a")]


def test_submit_when_repeated_then_the_second_object_is_unused(with_job: Trace) -> None:
    t = with_job
    large = LargePayload(f"payloads/{EPOCH}/second", 100_000, 1)
    again = t.ask(ops.Submit((ops.NewJob("a", large=large),)))
    t.settles()
    assert t.outcome(again) == Submitted(0, (large.key,))
