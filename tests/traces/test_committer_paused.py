"""A queue that is paused: what waits, what goes on, and what becomes of the pause itself."""

from __future__ import annotations

import json

import pytest

from osqueue.errors import BrokerLeadershipError, CommitUnknownError
from osqueue.model.ops import NewJob, Pause, Resume, Submit
from osqueue.model.outcomes import Done, NotWaiting, Results

from .conftest import FRESH, Start
from .harness import Trace
from .objects import edited, job_ids, shared_by, taken_over


def status_of(data: bytes, job_id: str) -> str:
    jobs = json.loads(data)["jobs"]
    return next(str(job["status"]) for job in jobs if job["id"] == job_id)


def is_paused(data: bytes) -> bool:
    return "paused" in json.loads(data)


def paused(lead: Start, *job_ids: str) -> Trace:
    """A leader of a queue that is paused, and that for good."""
    t = lead()
    if job_ids:
        t.submit(*job_ids)
        t.ok()
    t.pauses()
    t.ok()
    return t


# Claims


def test_waiting_claim_when_a_job_comes_while_paused_then_it_goes_on_waiting(lead: Start) -> None:
    t = lead()
    claim = t.claim(waits=True)
    t.pauses()
    t.ok()
    t.submit("a")
    t.ok()
    t.goes_well(10_000)
    assert t.waits(claim)
    assert status_of(t.data, "a") == "unclaimed"


def test_waiting_claim_when_resumed_then_served_in_the_commit_that_resumes(lead: Start) -> None:
    t = lead()
    claim = t.claim(waits=True)
    t.pauses()
    t.submit("a")
    t.ok()
    t.ok()
    resumed = t.resumes()
    assert not is_paused(t.write.data)
    assert status_of(t.write.data, "a") == "in_progress"
    assert t.waits(claim)
    t.ok()
    assert [grant.id for grant in t.grants(claim)] == ["a"]
    assert (t.outcome(resumed), resumed.position) == (Done(), claim.position)


def test_claims_when_they_began_to_wait_while_paused_then_resuming_serves_them_in_order(
    lead: Start,
) -> None:
    """The jobs were ready all the while: nothing else would ever wake these claims."""
    t = paused(lead, "a", "b")
    claims = [t.claim(waits=True) for _ in range(3)]
    assert t.asks_for() == []
    t.resumes()
    t.ok()
    assert [grant.id for held in claims[:2] for grant in t.grants(held)] == ["a", "b"]
    assert t.waits(claims[2])


def test_claim_when_it_waits_for_another_type_then_resuming_leaves_it_waiting(lead: Start) -> None:
    t = paused(lead, "a")
    other, wanted = t.claim("x", waits=True), t.claim("", "x", waits=True)
    t.resumes()
    t.ok()
    assert [grant.id for grant in t.grants(wanted)] == ["a"]
    assert t.waits(other)


def test_claim_when_paused_and_its_wait_is_over_then_nothing_and_no_write(lead: Start) -> None:
    t = paused(lead, "a")
    waited, asked = t.claim(waits=True), t.claim()
    t.wait_over(waited)
    assert t.grants(waited) == t.grants(asked) == ()
    assert t.asks_for() == []


def test_claim_when_repeated_while_paused_then_it_gets_what_it_still_holds(lead: Start) -> None:
    t = lead()
    t.submit("a", "b")
    first = t.claim(claim_id="c")
    t.pauses()
    again = t.claim(claim_id="c")
    t.ok()
    t.ok()
    assert t.grants(first) == t.grants(again) != ()
    t.complete(t.grants(first)[0])
    assert t.waits(t.claim(claim_id="c", waits=True))


def test_claim_when_before_the_pause_in_one_commit_then_granted_and_after_it_not(
    lead: Start,
) -> None:
    t = lead()
    t.submit("a", "b")
    before = t.claim()
    t.pauses()
    after = t.claim()
    t.ok()
    t.ok()
    assert [grant.id for grant in t.grants(before)] == ["a"]
    assert t.grants(after) == ()
    assert after.position == before.position


def test_empty_claim_when_the_pause_is_not_durable_yet_then_it_waits_for_that(lead: Start) -> None:
    """Otherwise somebody knew of a pause that may never have been."""
    t = lead()
    t.submit("a")
    t.ok()
    t.pauses()
    claim = t.claim()
    assert t.waits(claim)
    t.ok()
    assert t.grants(claim) == ()


def test_caller_when_gone_while_paused_then_its_job_comes_back_and_is_not_handed_on(
    lead: Start,
) -> None:
    t = lead()
    t.submit("a")
    t.ok()
    gone, waiting = t.claim(), t.claim(waits=True)
    t.pauses()
    t.withdraw(gone)
    t.settles()
    assert status_of(t.data, "a") == "unclaimed"
    assert t.waits(waiting)
    t.resumes()
    t.ok()
    assert [grant.id for grant in t.grants(waiting)] == ["a"]


# What goes on


def test_held_job_when_paused_then_kept_completed_and_expired_as_ever(lead: Start) -> None:
    t = lead()
    t.submit("a", "b")
    claim = t.claim(most=2)
    t.pauses()
    t.ok()
    t.ok()
    kept, lapsed = t.grants(claim)
    for _ in range(4):
        t.goes_well(10_000)
        t.heartbeat(kept)
    t.goes_well(1_000)
    assert status_of(t.data, lapsed.id) == "unclaimed"
    done = t.complete(kept)
    t.ok()
    assert t.outcome(done) == Results((Done(),))
    assert job_ids(t.data) == [lapsed.id]


def test_delay_when_it_ends_while_paused_then_nothing_is_written_and_no_wake_is_lost(
    lead: Start,
) -> None:
    t = lead()
    t.ask(Submit((NewJob("a", run_at=t.now.wall + 500),)))
    claim = t.claim(waits=True)
    t.pauses()
    t.settles()
    wakes = t.wakes
    t.runs(900)
    assert t.asks_for() == []
    assert t.wakes - wakes <= 5
    t.resumes()
    t.ok()
    assert [grant.id for grant in t.grants(claim)] == ["a"]


# The pause itself


def test_pause_when_repeated_then_done_as_of_the_first_without_a_write(lead: Start) -> None:
    t = lead()
    first = t.pauses()
    t.ok()
    again = t.pauses()
    assert t.asks_for() == []
    assert t.outcome(again) == Done()
    assert again.position == first.position


def test_pause_when_its_reply_is_lost_then_put_again_and_done(lead: Start) -> None:
    t = lead()
    pause = t.pauses()
    t.lands(t.write)
    t.unclear()
    t.runs(100)
    t.conflicts()
    t.reads()
    assert t.outcome(pause) == Done()
    assert is_paused(t.data)


def test_pause_when_it_lands_late_then_claims_of_meanwhile_get_nothing(lead: Start) -> None:
    t = lead()
    t.submit("a")
    t.ok()
    t.pauses()
    late = t.write
    t.unclear()
    claim = t.claim(waits=True)
    t.runs(2_000)
    t.lands(late)
    t.conflicts()
    t.reads()
    t.settles()
    assert is_paused(t.data)
    assert t.waits(claim)


def test_pause_when_another_takes_over_and_it_had_landed_then_both_know_it(
    start: Start, lead: Start
) -> None:
    t = lead()
    t.submit("a")
    t.ok()
    pause = t.pauses()
    t.lands(t.write)
    t.puts(taken_over(t.data, epoch=1_000))
    t.conflicts()
    t.reads()
    assert t.outcome(pause) == Done()
    other = start(t.data, epoch=1_001)
    other.ok()
    assert is_paused(other.data)
    claim = other.claim(waits=True)
    assert other.waits(claim)
    other.resumes()
    other.ok()
    assert [grant.id for grant in other.grants(claim)] == ["a"]


def test_pause_when_another_took_over_before_it_then_it_is_told_that_nothing_was_applied(
    lead: Start,
) -> None:
    t = lead()
    pause = t.pauses()
    t.puts(taken_over(t.data, epoch=1_000))
    t.conflicts()
    t.reads()
    error = t.refusal(pause)
    assert isinstance(error, BrokerLeadershipError)
    assert error.applied == "no"
    assert not is_paused(t.data)


def test_pause_when_the_leader_ends_with_it_unresolved_then_its_fate_is_unknown(
    lead: Start,
) -> None:
    t = lead()
    pause = t.pauses()
    t.unclear()
    t.abandon()
    assert isinstance(t.refusal(pause), CommitUnknownError)


@pytest.mark.parametrize("when", ["committing", "durable"])
def test_resume_when_the_base_was_edited_then_the_claim_that_it_served_is_served_again(
    lead: Start, when: str
) -> None:
    t = paused(lead, "a")
    claim = t.claim(waits=True)
    resumed = t.resumes()
    if when == "committing":
        t.changes(edited(t.data, note="by hand"))
        assert t.waits(resumed)
    t.ok()
    assert t.outcome(resumed) == Done()
    assert [grant.id for grant in t.grants(claim)] == ["a"]
    assert not is_paused(t.data)


def test_flag_when_somebody_edits_it_away_then_those_who_wait_are_served(lead: Start) -> None:
    t = paused(lead, "a")
    claim = t.claim(waits=True)
    t.runs(1_500)
    t.stats(consistent=True)
    t.puts(edited(t.data, paused=False))
    t.checks()
    t.settles()
    assert [grant.id for grant in t.grants(claim)] == ["a"]


def test_pause_when_somebody_listens_then_it_is_told_with_the_commit(lead: Start) -> None:
    t = lead()
    t.listens()
    t.pauses()
    assert [publish.told.counts.paused for publish in t.told] == [False]
    t.ok()
    assert [publish.told.counts.paused for publish in t.told] == [False, True]
    assert t.events[-1] == []


# Priorities


def test_priority_when_set_before_a_claim_in_one_commit_then_the_claim_follows_it(
    lead: Start,
) -> None:
    t = lead()
    t.submit("a", "b")
    moved = t.set_priority("a", 1)
    claim = t.claim()
    t.ok()
    t.ok()
    assert t.outcome(moved) == Done()
    assert [grant.id for grant in t.grants(claim)] == ["b"]


def test_priority_when_set_after_a_claim_then_refused_once_the_claim_is_durable(
    lead: Start,
) -> None:
    t = lead()
    t.submit("a")
    t.ok()
    claim = t.claim()
    late = t.set_priority("a", 1)
    assert t.waits(late)
    t.ok()
    assert t.outcome(late) == NotWaiting("a", "in_progress")
    assert t.grants(claim)[0].priority == 0


def test_priority_when_its_reply_was_lost_and_the_job_is_held_then_the_repetition_is_done(
    lead: Start,
) -> None:
    t = lead()
    t.submit("a")
    t.set_priority("a", 1)
    t.claim()
    again = t.set_priority("a", 1)
    t.ok()
    t.ok()
    assert t.outcome(again) == Done()


# Those who share a queue


def test_claim_when_another_process_has_paused_then_it_is_applied_again_and_gets_nothing(
    share: Start,
) -> None:
    t = share(shared_by("x", FRESH.encode(), Submit((NewJob("a"),))))
    claim = t.claim()
    t.changes(shared_by("y", t.data, Pause()))
    t.settles()
    assert t.grants(claim) == ()
    assert status_of(t.data, "a") == "unclaimed"


def test_waiting_claim_when_another_process_resumes_then_it_is_seen_and_served(
    share: Start,
) -> None:
    t = share(shared_by("x", FRESH.encode(), Submit((NewJob("a"),)), Pause()))
    claim = t.claim(waits=True)
    t.goes_well(3_000)
    assert t.waits(claim)
    t.puts(shared_by("y", t.data, Resume()))
    t.goes_well(3_000)
    assert [grant.id for grant in t.grants(claim)] == ["a"]


def test_pause_when_another_process_has_resumed_meanwhile_then_it_pauses_again(
    share: Start,
) -> None:
    """As far as this process knows, the queue is paused still; an answer from that would lie."""
    t = share(shared_by("x", FRESH.encode(), Pause()))
    t.puts(shared_by("y", t.data, Resume()))
    pause = t.pauses()
    assert t.waits(pause)
    t.settles()
    assert t.outcome(pause) == Done()
    assert is_paused(t.data)
