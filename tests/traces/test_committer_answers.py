"""When a request is answered: what it saw is durable, and leadership is confirmed."""

from __future__ import annotations

import json

from osqueue.config import CommitSettings, LeadershipSettings
from osqueue.engine.requests import Check, EndReason, Held
from osqueue.errors import CommitUnknownError, StoreUnavailableError
from osqueue.model.ops import Heartbeat, LeaseRef, NewJob, Submit
from osqueue.model.outcomes import Claimed, Counts, Done, IdConflict, Results, Submitted

from .conftest import Start
from .harness import EPOCH, Trace
from .objects import taken_over


def unclaimed(t: Trace, reads: Held) -> int:
    counts = t.outcome(reads)
    assert isinstance(counts, Counts)
    return counts.unclaimed


def unconfirmed(lead: Start) -> Trace:
    """A leader whose last confirmation is a little too old."""
    t = lead()
    t.runs(1_001)
    return t


def test_read_when_leadership_is_fresh_then_it_is_answered_at_once(lead: Start) -> None:
    t = lead()
    t.passes(1_000)
    reads = t.stats()
    assert unclaimed(t, reads) == 0
    assert reads.position == (EPOCH, 1)
    assert t.todo == []


def test_read_when_leadership_is_stale_then_a_check_is_asked_for(lead: Start) -> None:
    t = unconfirmed(lead)
    reads = t.stats()
    assert t.waits(reads)
    assert t.stored is not None
    assert t.todo == [Check(t.stored.version, t.now.mono, arrivals=1)]
    t.checks()
    assert unclaimed(t, reads) == 0


def test_check_when_many_wait_then_one_serves_them_all(lead: Start) -> None:
    t = unconfirmed(lead)
    reads = [t.stats() for _ in range(5)]
    assert t.asks_for() == ["Check"]
    t.checks()
    assert not any(t.waits(held) for held in reads)
    assert t.todo == []


def test_check_when_it_confirmed_then_reads_are_free_for_a_second(lead: Start) -> None:
    t = unconfirmed(lead)
    t.stats()
    t.checks()
    t.passes(1_000)
    assert not t.waits(t.stats())
    t.passes(1)
    assert t.waits(t.stats())


def test_check_when_it_was_slow_then_it_counts_from_its_beginning(lead: Start) -> None:
    t = unconfirmed(lead)
    t.stats()
    t.passes(1_001)
    t.checks()
    assert t.asks_for() == ["Check"], "confirmed as of more than a second ago is not confirmed"


def test_check_when_it_fails_then_it_is_tried_again_soon_but_not_at_once(lead: Start) -> None:
    t = unconfirmed(lead)
    reads = t.stats()
    t.fails_to_check()
    assert t.todo == []
    t.runs(249)
    assert t.todo == []
    t.runs(1)
    t.checks()
    assert unclaimed(t, reads) == 0


def test_read_when_it_saw_a_pending_change_then_it_is_held_until_that_is_durable(
    lead: Start,
) -> None:
    t = lead()
    t.encode_us = 2_000
    t.submit("first")
    t.ok()
    t.submit("a")
    assert t.todo == [], "the commit is paced"
    reads = t.stats()
    assert t.waits(reads)
    t.runs(10)
    assert t.waits(reads)
    t.ok()
    assert unclaimed(t, reads) == 2
    assert reads.position == (EPOCH, 3)


def test_read_when_it_saw_a_change_in_flight_then_it_is_held_until_that_is_durable(
    lead: Start,
) -> None:
    t = lead()
    t.submit("a")
    reads = t.stats()
    assert t.waits(reads)
    t.ok()
    assert unclaimed(t, reads) == 1
    assert reads.position == (EPOCH, 2)


def test_read_when_its_commit_took_long_then_leadership_is_confirmed_first(lead: Start) -> None:
    t = lead()
    t.submit("a")
    reads = t.stats()
    t.passes(1_500)
    t.ok()
    assert t.waits(reads), "the write that carried it began too long ago"
    t.checks()
    assert unclaimed(t, reads) == 1


def test_write_when_its_commit_took_long_then_it_is_answered_all_the_same(lead: Start) -> None:
    t = lead()
    held = t.submit("a")
    t.passes(1_500)
    t.ok()
    assert t.outcome(held) == Submitted(1)


def test_consistent_read_when_leadership_is_fresh_then_it_is_confirmed_anew(lead: Start) -> None:
    t = lead()
    t.passes(5)
    reads = t.stats(consistent=True)
    assert t.waits(reads)
    t.checks()
    assert unclaimed(t, reads) == 0


def test_consistent_read_when_a_check_had_begun_then_it_waits_for_another(lead: Start) -> None:
    t = unconfirmed(lead)
    plain = t.stats()
    t.passes(5)
    consistent = t.stats(consistent=True)
    t.checks()
    assert not t.waits(plain)
    assert t.waits(consistent)
    t.checks()
    assert unclaimed(t, consistent) == 0


def test_consistent_read_when_a_check_began_in_the_same_ms_before_it_then_it_waits_for_another(
    lead: Start,
) -> None:
    t = unconfirmed(lead)
    t.stats()
    assert t.asks_for() == ["Check"]
    consistent = t.stats(consistent=True)
    t.checks()
    assert t.waits(consistent), "that check may have looked before the request came"
    t.checks()
    assert unclaimed(t, consistent) == 0


def test_consistent_read_when_a_write_had_begun_then_that_does_not_confirm_it(lead: Start) -> None:
    t = lead()
    t.submit("a")
    t.passes(5)
    consistent = t.stats(consistent=True)
    t.ok()
    assert t.waits(consistent)
    t.checks()
    assert unclaimed(t, consistent) == 1


def test_consistent_read_when_its_own_commit_lands_then_that_confirms_it(lead: Start) -> None:
    t = lead()
    t.submit("a")
    consistent = t.stats(consistent=True)
    t.passes(5)
    t.submit("b")
    t.ok()
    assert t.waits(consistent)
    t.ok()
    assert unclaimed(t, consistent) == 1
    assert t.todo == []


def test_read_when_leadership_stays_unconfirmed_then_it_is_unavailable(lead: Start) -> None:
    t = unconfirmed(lead)
    reads = t.stats()
    t.unless_heard(10_000)
    refusal = t.refusal(reads)
    assert isinstance(refusal, StoreUnavailableError)
    assert (refusal.applied, refusal.retryable) == ("no", True)


def test_heartbeat_when_leadership_stays_unconfirmed_then_it_is_unavailable(lead: Start) -> None:
    t = lead(leadership=LeadershipSettings(heartbeat_interval_ms=100, heartbeat_timeout_ms=400))
    t.submit("a")
    claim = t.claim()
    t.ok()
    t.ok()
    t.submit("b")
    heartbeat = t.heartbeat(t.grants(claim)[0])
    t.unclear()
    t.unless_heard(399)
    assert t.waits(heartbeat)
    t.unless_heard(300)
    assert isinstance(t.refusal(heartbeat), StoreUnavailableError)


# No commit of their own


def test_empty_claim_when_leadership_is_fresh_then_it_is_answered_without_a_write(
    lead: Start,
) -> None:
    t = lead()
    assert t.outcome(t.claim()) == Claimed(())
    assert t.todo == []


def test_refusal_when_leadership_is_fresh_then_it_is_answered_without_a_write(lead: Start) -> None:
    t = lead()
    t.submit("a")
    t.ok()
    refused = t.ask(Submit((NewJob("a", "another type"),)))
    assert t.outcome(refused) == IdConflict("a")
    assert t.todo == []


def test_heartbeat_when_nothing_else_is_asked_then_it_causes_no_write(lead: Start) -> None:
    t = lead()
    t.submit("a")
    claim = t.claim()
    t.ok()
    t.ok()
    grant = t.grants(claim)[0]
    for _ in range(5):
        t.runs(100)
        assert t.outcome(t.heartbeat(grant)) == Results((Done(),))
    assert t.todo == []


def test_heartbeat_when_the_next_commit_comes_then_it_rides_along(lead: Start) -> None:
    t = lead()
    t.submit("a")
    claim = t.claim()
    t.ok()
    t.ok()
    t.runs(500)
    t.heartbeat(t.grants(claim)[0])
    at = t.now.wall
    t.submit("b")
    assert json.loads(t.write.data)["jobs"][0]["heartbeat"] == at


def test_heartbeat_when_it_names_a_foreign_lease_then_that_is_held_until_true(lead: Start) -> None:
    """That the lease is not theirs may rest on a claim that is not durable yet."""
    t = lead()
    t.submit("a")
    t.claim()
    beat = t.ask(Heartbeat("other", (LeaseRef("a", "stale"),)))
    assert t.waits(beat)
    t.ok()
    t.ok()
    assert isinstance(t.outcome(beat), Results)


# Positions


def test_positions_when_answers_follow_one_another_then_they_never_go_back(lead: Start) -> None:
    t = lead()
    for number in range(6):
        t.stats()
        t.submit(f"j{number}")
        t.stats()
        if number % 2:
            t.unclear()
            t.runs(2_100)
        t.ok()
        t.runs(50)
    positions = [held.position for held in t.answered if held.position is not None]
    assert len(positions) == len(t.answered)
    assert positions == sorted(positions)


# Waiting too long


def test_write_when_it_is_not_durable_in_time_then_it_is_unknown_and_goes_on(lead: Start) -> None:
    t = lead(commit=CommitSettings(answer_ms_max=2_000))
    in_flight, pending = t.submit("a"), t.submit("b")
    t.unclear()
    t.unless_heard(1_999)
    assert t.waits(in_flight)
    t.unless_heard(300)
    for held in (in_flight, pending):
        refusal = t.refusal(held)
        assert isinstance(refusal, CommitUnknownError)
        assert refusal.applied == "unknown"
    while t.asks_for() != ["Write"]:
        t.runs(100)
    t.ok()
    t.ok()
    assert [job["id"] for job in json.loads(t.data)["jobs"]] == ["a", "b"]


def test_write_when_the_store_hangs_then_its_caller_is_told_in_time(lead: Start) -> None:
    t = lead()
    held = t.submit("a")
    t.runs(30_000 + 250)
    assert isinstance(t.refusal(held), CommitUnknownError)


# Bounds


def test_requests_when_too_many_are_pending_then_more_are_refused(lead: Start) -> None:
    t = lead(commit=CommitSettings(pending_ops_max=10))
    asked = [t.submit(f"j{number}") for number in range(20)]
    taken = [held for held in asked if t.waits(held)]
    assert 8 <= len(taken) <= 10, "the engine's own operations count, too"
    for held in asked[len(taken) :]:
        refusal = t.refusal(held)
        assert (type(refusal).__name__, refusal.applied) == ("OverloadedError", "no")
    t.ok()
    t.ok()
    assert len(json.loads(t.data)["jobs"]) == len(taken)
    again = t.submit("again")
    t.ok()
    assert t.outcome(again) == Submitted(1)


def test_requests_when_too_many_bytes_are_pending_then_more_are_refused(lead: Start) -> None:
    t = lead(commit=CommitSettings(pending_bytes_max=100))
    t.ask(Submit((NewJob("a"),)), size=60)
    t.ask(Submit((NewJob("b"),)), size=60)
    refused = t.ask(Submit((NewJob("c"),)), size=60)
    assert type(t.refusal(refused)).__name__ == "OverloadedError"
    t.ok()
    t.ok()
    taken = t.ask(Submit((NewJob("d"),)), size=60)
    t.ok()
    assert t.outcome(taken) == Submitted(1)


def test_claims_when_too_many_wait_then_more_are_refused(lead: Start) -> None:
    t = lead(commit=CommitSettings(waiting_claims_max=2))
    waiting = [t.claim(waits=True) for _ in range(2)]
    refusal = t.refusal(t.claim(waits=True))
    assert (type(refusal).__name__, refusal.applied) == ("OverloadedError", "no")
    assert all(t.waits(held) for held in waiting)
    assert not t.waits(t.claim()), "one that does not wait is answered"


def test_memory_when_refused_reads_pile_up_then_they_take_nobodys_place(lead: Start) -> None:
    t = lead(commit=CommitSettings(pending_ops_max=80))
    t.submit("a")
    for _ in range(20):
        for _ in range(5):
            t.stats()
        t.unless_heard(1_000)
    assert t.waits(t.submit("b"))


def test_repetition_when_the_commit_of_the_first_try_is_given_up_then_it_is_unknown_too(
    lead: Start,
) -> None:
    t = lead()
    first = t.submit("a")
    t.unclear()
    again, other = t.submit("a"), t.submit("b")
    t.abandon()
    for held in (first, again):
        assert t.refusal(held).applied == "unknown"
    assert t.refusal(other).applied == "no"


def test_repetition_when_another_broker_has_taken_over_then_it_is_not_said_to_be_unapplied(
    lead: Start,
) -> None:
    t = lead()
    t.submit("a")
    landed = t.write.data
    t.unclear()
    again = t.submit("a")
    t.puts(taken_over(landed, epoch=EPOCH + 1))
    t.passes(2_000)
    t.conflicts()
    t.reads()
    assert t.over.reason is EndReason.FENCED
    assert t.refusal(again).applied == "unknown"


def test_repetition_when_leadership_is_given_back_then_it_is_not_said_to_be_unapplied(
    lead: Start,
) -> None:
    t = lead()
    t.submit("a")
    t.ok()
    t.runs(1_001)
    again = t.submit("a")
    t.stop()
    assert t.refusal(again).applied == "unknown"


def test_claim_when_it_repeats_one_and_the_commit_is_given_up_then_it_is_unknown(
    lead: Start,
) -> None:
    t = lead()
    t.submit("a")
    t.ok()
    t.claim(claim_id="c")
    t.unclear()
    again = t.claim(claim_id="c")
    t.abandon()
    assert t.refusal(again).applied == "unknown"
