"""What becomes of jobs is told with the commit that contains it: never before, twice or wrongly."""

from __future__ import annotations

import pytest

from osqueue.engine import intake as intake_module
from osqueue.model import events as events_module
from osqueue.model.apply import apply
from osqueue.model.job import Moment
from osqueue.model.ops import NewJob, Op, Retry, Submit
from osqueue.model.outcomes import Grant, Outcome
from osqueue.model.state import QueueState

from .conftest import Start
from .harness import EPOCH, START, Trace
from .objects import edited, taken_over, without_job

BASE = [None]
"""The first that is told has the counts alone."""


@pytest.fixture
def heard(lead: Start) -> Trace:
    """Leads, and somebody listens."""
    trace = lead()
    trace.listens()
    assert trace.events == BASE
    return trace


# The beginning


def test_listen_when_nobody_does_then_nothing_is_recorded_or_told(lead: Start) -> None:
    t = lead()
    t.submit("a")
    t.ok()
    assert (t.told, t.intake.state.events) == ([], None)


def test_listen_when_nothing_is_pending_then_the_counts_are_told_at_once(lead: Start) -> None:
    t = lead()
    t.submit("a")
    t.ok()
    t.listens()
    (publish,) = t.told
    assert publish.position == t.committer.position == (EPOCH, 2)
    assert (publish.told.counts.unclaimed, publish.told.events) == (1, None)


def test_listen_when_a_commit_is_under_way_then_the_counts_are_told_when_it_lands(
    lead: Start,
) -> None:
    t = lead()
    t.submit("a")
    t.listens()
    assert t.told == []
    t.ok()
    (publish,) = t.told
    assert (publish.position, publish.told.counts.unclaimed) == ((EPOCH, 2), 1)


def test_listen_when_changes_are_pending_then_the_counts_are_told_after_their_commit(
    lead: Start,
) -> None:
    """Only of later commits it is known what is in them."""
    t = lead()
    t.submit("a")
    t.submit("b")
    t.listens()
    t.submit("c")
    t.ok()
    assert t.told == []
    t.ok()
    (publish,) = t.told
    assert (publish.position, publish.told.counts.unclaimed) == ((EPOCH, 3), 3)
    assert publish.told.events is None
    t.submit("d")
    t.ok()
    assert t.events == [None, ["submitted d"]]


def test_listen_when_it_ends_and_begins_again_in_one_commit_then_that_tells_counts_alone(
    heard: Trace,
) -> None:
    t = heard
    t.submit("a")
    t.submit("b")
    t.listens_no_more()
    t.listens()
    t.submit("c")
    t.ok()
    assert t.events == BASE
    t.ok()
    assert t.events == [*BASE, None]


def test_listen_when_it_ends_then_nothing_more_is_told(heard: Trace) -> None:
    t = heard
    t.submit("a")
    t.listens_no_more()
    t.ok()
    assert (t.events, t.intake.state.events) == (BASE, None)


# The commit


def test_events_when_the_commit_has_not_landed_then_nothing_is_told(heard: Trace) -> None:
    t = heard
    t.submit("a")
    t.submit("b")
    assert t.events == BASE
    t.ok()
    assert t.events == [*BASE, ["submitted a"]]
    t.ok()
    assert t.events == [*BASE, ["submitted a"], ["submitted b"]]
    assert [publish.position[1] for publish in t.told] == [1, 2, 3]
    assert [publish.told.counts.unclaimed for publish in t.told] == [0, 1, 2]


def test_events_when_a_waiting_claim_is_served_then_both_are_in_one_commit(heard: Trace) -> None:
    t = heard
    t.claim(waits=True)
    t.submit("a", type_="mail")
    t.ok()
    assert t.events == [*BASE, ["submitted a", "claimed a"]]
    told = t.told[-1].told
    assert told.events is not None
    assert [event.at for event in told.events] == [START.wall, START.wall]
    claimed = told.events[1]
    assert (claimed.type, claimed.worker_id, claimed.attempt) == ("mail", "w", 1)
    assert (told.counts.unclaimed, told.counts.in_progress) == (0, 1)


def test_events_when_requests_change_nothing_then_there_are_none(heard: Trace) -> None:
    t = heard
    t.submit("a")
    t.ok()
    (grant,) = granted(t)
    for _ in range(2):
        t.heartbeat(grant)
        t.submit("a")
        t.stats()
    t.complete(grant)
    t.complete(grant)
    t.ok()
    assert t.events == [*BASE, ["submitted a"], ["claimed a"], ["completed a"]]


def granted(t: Trace) -> tuple[Grant, ...]:
    claim = t.claim()
    t.ok()
    return t.grants(claim)


def test_events_when_a_lease_runs_out_then_it_is_expired_and_at_last_dead(heard: Trace) -> None:
    t = heard
    t.submit("a")
    t.ok()
    for _ in range(3):
        granted(t)
        t.goes_well(30_100)
    kinds = [kind for events in t.events[1:] for kind in events or ()]
    assert kinds == [
        *("submitted a", "claimed a", "expired a", "claimed a", "expired a"),
        *("claimed a", "dead a"),
    ]


def test_events_when_the_caller_of_a_claim_has_gone_then_both_are_told(heard: Trace) -> None:
    t = heard
    t.submit("a")
    t.ok()
    claim = t.claim()
    t.withdraw(claim)
    t.ok()
    t.ok()
    assert t.events[2:] == [["claimed a"], ["released a"]]


def test_events_when_nothing_happens_to_jobs_then_a_heartbeat_tells_none(heard: Trace) -> None:
    t = heard
    t.goes_well(10_000)
    assert t.events[:2] == [*BASE, []]


def test_counts_when_a_delay_has_ended_then_the_next_commit_tells_so(heard: Trace) -> None:
    t = heard
    t.ask(Submit((NewJob("later", run_at=START.wall + 1_000),)))
    t.ok()
    assert t.told[-1].told.counts.delayed == 1
    t.pause(2_000)
    t.submit("a")
    t.ok()
    counts = t.told[-1].told.counts
    assert (counts.delayed, counts.unclaimed) == (0, 2)
    assert t.events[-1] == ["submitted a"], "that a delay ends is no event"


def test_events_when_there_are_too_many_in_a_commit_then_it_tells_counts_alone(
    heard: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "COMMIT_EVENTS_MAX", 2)
    t = heard
    t.submit("a")
    t.submit("b", "c", "d", "e")
    assert t.intake.state.events is not None
    assert len(t.intake.state.events._events) == 3
    t.ok()
    t.ok()
    assert t.events == [*BASE, ["submitted a"], None]
    assert t.told[-1].told.counts.unclaimed == 5
    t.cancel("e")
    t.ok()
    assert t.events[-1] == ["cancelled e"]


# Conflicts


def test_events_when_a_write_of_unknown_fate_landed_then_they_are_told_once(heard: Trace) -> None:
    t = heard
    t.submit("a")
    t.lands(t.write)
    t.unclear()
    assert t.events == BASE
    t.runs(100)
    t.conflicts()
    t.reads()
    assert t.events == [*BASE, ["submitted a"]]


def test_events_when_ours_was_edited_then_it_is_told_and_later_ones_once(heard: Trace) -> None:
    t = heard
    t.submit("a", "b")
    t.submit("c")
    t.puts(without_job(edited(t.write.data, note="by hand"), "a"))
    t.conflicts()
    t.reads()
    assert t.events == [*BASE, ["submitted a", "submitted b"]]
    t.ok()
    assert t.events[2:] == [["submitted c"]]
    assert t.told[-1].told.counts.unclaimed == 2


def test_events_when_our_base_was_edited_then_what_is_applied_again_is_told_once(
    heard: Trace,
) -> None:
    t = heard
    t.submit("z")
    t.ok()
    t.submit("a")
    t.cancel("z")
    t.puts(without_job(edited(t.data, note="by hand"), "z"))
    t.conflicts()
    t.reads()
    assert t.events == [*BASE, ["submitted z"]]
    t.ok()
    assert t.events[2:] == [["submitted a"]], "there was nothing left to cancel"


def test_events_when_another_leads_and_ours_had_landed_then_they_are_told_before_the_end(
    heard: Trace,
) -> None:
    t = heard
    t.submit("a")
    t.submit("b")
    t.lands(t.write)
    fenced_by(t, taken_over(t.write.data, epoch=EPOCH + 1))
    assert t.events == [*BASE, ["submitted a"]]
    assert t.told[-1].position == (EPOCH, 2)


def test_events_when_another_leads_and_ours_was_not_applied_then_none_is_told(
    heard: Trace,
) -> None:
    t = heard
    t.submit("a")
    t.submit("b")
    fenced_by(t, taken_over(t.data, epoch=EPOCH + 1))
    assert t.end is not None
    assert t.events == BASE


def test_events_when_their_fate_stays_unknown_then_none_is_told(heard: Trace) -> None:
    t = heard
    t.submit("a")
    fenced_by(t, edited(taken_over(t.data, epoch=EPOCH + 1), lineage={}))
    assert t.events == BASE


def fenced_by(t: Trace, data: bytes) -> None:
    t.puts(data)
    t.unclear()
    t.runs(100)
    t.conflicts()
    t.reads()


def test_events_when_the_object_is_created_again_then_they_are_told_once(heard: Trace) -> None:
    t = heard
    t.submit("z")
    t.ok()
    t.submit("a")
    t.submit("b")
    t.vanishes()
    t.missing()
    t.reads()
    assert t.events[2:] == []
    t.ok()
    assert t.events[2:] == [["submitted a", "submitted b"]]
    assert t.told[-1].position[0] > EPOCH


def test_events_when_it_vanished_with_a_write_of_unknown_fate_then_its_are_not_told(
    heard: Trace,
) -> None:
    t = heard
    t.submit("z")
    t.ok()
    t.submit("a")
    t.unclear()
    t.submit("b")
    t.runs(100)
    t.vanishes()
    t.missing()
    t.reads()
    t.ok()
    assert t.events[2:] == [["submitted b"]]


def test_events_when_an_operation_fails_inside_then_the_others_are_told_once(
    heard: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(state: QueueState, op: Op, now: Moment) -> Outcome:
        outcome = apply(state, op, now)
        if op == Submit((NewJob("x"),)):
            raise RuntimeError("a bug")
        return outcome

    monkeypatch.setattr(intake_module, "apply", failing)
    t = heard
    t.submit("a")
    t.submit("b")
    t.submit("x")
    t.submit("c")
    t.ok()
    t.ok()
    assert t.events == [*BASE, ["submitted a"], ["submitted b", "submitted c"]]


def test_events_when_a_dead_letter_is_queued_again_then_it_is_revived(heard: Trace) -> None:
    t = heard
    t.submit("a")
    t.ok()
    claim = t.claim()
    t.ok()
    t.fail(t.grants(claim)[0])
    t.ok()
    t.ask(Retry("a"))
    t.ok()
    assert t.events[3:] == [["dead a"], ["revived a"]]


def test_events_at_takeover_when_there_are_jobs_then_it_is_no_event_of_theirs(
    lead: Start,
) -> None:
    before = lead()
    before.submit("a")
    before.ok()
    t = lead(before.data, epoch=EPOCH + 1)
    t.listens()
    assert t.events == BASE
    assert t.told[0].told.counts.unclaimed == 1


# The figures of a commit


def test_landed_when_a_commit_lands_then_it_says_what_was_in_it(lead: Start) -> None:
    t = lead()
    t.submit("a", "b")
    t.submit("c")
    t.stats()
    t.pause(30)
    write = t.write
    t.ok()
    first, second = t.landed
    assert (first.position, second.position) == ((EPOCH, 1), (EPOCH, 2))
    assert (second.ops, second.changes) == (1, 2)
    assert (second.size, second.took_ms) == (len(write.data), 30)
    t.ok()
    assert (t.landed[-1].ops, t.landed[-1].changes) == (1, 1)


def test_landed_when_it_took_several_attempts_then_it_counts_once_and_from_the_first(
    lead: Start,
) -> None:
    t = lead()
    t.submit("a")
    t.unclear()
    t.runs(100)
    t.unclear()
    t.runs(100)
    t.ok()
    assert len(t.landed) == 2
    assert t.landed[-1].took_ms == 200
