"""Claims that wait: who gets a job, when the wait is over, and whose caller has gone."""

from __future__ import annotations

import json

import pytest

from osqueue.config import CommitSettings
from osqueue.engine.requests import Held
from osqueue.model.ops import Claim, NewJob, Submit
from osqueue.model.outcomes import Claimed, Grant

from .conftest import Start
from .harness import Trace
from .objects import edited, job_ids, without_job


def statuses(data: bytes) -> dict[str, str]:
    return {job["id"]: job["status"] for job in json.loads(data)["jobs"]}


def claimed_and_durable(lead: Start) -> tuple[Trace, Grant]:
    t = lead()
    t.submit("a")
    claim = t.claim()
    t.ok()
    t.ok()
    return t, t.grants(claim)[0]


def test_waiting_claim_when_a_job_comes_then_both_are_in_one_commit(lead: Start) -> None:
    t = lead()
    claim = t.claim(waits=True)
    submitted = t.submit("a")
    assert statuses(t.write.data) == {"a": "in_progress"}
    assert t.waits(claim)
    t.ok()
    assert [grant.id for grant in t.grants(claim)] == ["a"]
    assert claim.position == submitted.position


def test_waiting_claim_when_nothing_comes_then_it_costs_no_write(lead: Start) -> None:
    t = lead()
    claim = t.claim(waits=True)
    t.runs(900)
    assert t.waits(claim)
    assert t.todo == []


def test_waiting_claims_when_jobs_come_then_the_first_is_served_first(lead: Start) -> None:
    t = lead()
    claims = [t.claim(waits=True) for _ in range(3)]
    t.submit("a", "b")
    t.ok()
    assert [grant.id for held in claims[:2] for grant in t.grants(held)] == ["a", "b"]
    assert t.waits(claims[2])


def test_waiting_claims_when_a_job_of_one_type_comes_then_only_that_type_is_served(
    lead: Start,
) -> None:
    t = lead()
    other, wanted, anything = (
        t.claim("x", waits=True),
        t.claim("y", waits=True),
        t.claim(waits=True),
    )
    t.submit("a", type_="y")
    t.ok()
    assert [grant.id for grant in t.grants(wanted)] == ["a"]
    assert t.waits(other)
    assert t.waits(anything)


@pytest.mark.parametrize("jobs", [("y", "x"), ("x", "y")])
def test_waiting_claims_when_jobs_of_many_types_come_then_the_longest_waiting_is_first(
    lead: Start, jobs: tuple[str, str]
) -> None:
    """The one who waits longest can only take a ``y``; the other could take either."""
    t = lead()
    longest, other = t.claim("y", "z", waits=True), t.claim("x", "y", waits=True)
    t.ask(Submit(tuple(NewJob(type_, type_) for type_ in jobs)))
    t.ok()
    assert [grant.id for grant in t.grants(longest)] == ["y"]
    assert [grant.id for grant in t.grants(other)] == ["x"]


def test_waiting_claim_when_it_wants_many_then_it_gets_what_is_there(lead: Start) -> None:
    t = lead()
    claim = t.claim(waits=True, most=5)
    t.submit("a", "b")
    t.ok()
    assert [grant.id for grant in t.grants(claim)] == ["a", "b"]


def test_waiting_claim_when_a_delay_ends_then_it_is_served_by_itself(lead: Start) -> None:
    t = lead()
    claim = t.claim(waits=True)
    t.ask(Submit((NewJob("a", run_at=t.now.wall + 500),)))
    t.ok()
    t.runs(499)
    assert t.todo == []
    t.runs(1)
    t.ok()
    assert [grant.id for grant in t.grants(claim)] == ["a"]


def test_waiting_claim_when_a_job_is_released_then_it_gets_it(lead: Start) -> None:
    t, _ = claimed_and_durable(lead)
    waiting = t.claim(waits=True)
    t.withdraw(t.asked[1])
    t.ok()
    assert [grant.id for grant in t.grants(waiting)] == ["a"]


# The wait is over


def test_wait_when_it_is_over_then_the_claim_is_answered_empty(lead: Start) -> None:
    t = lead()
    claim = t.claim(waits=True)
    t.runs(500)
    t.wait_over(claim)
    assert t.outcome(claim) == Claimed(())
    t.submit("a")
    assert statuses(t.write.data) == {"a": "unclaimed"}


def test_wait_when_over_while_unconfirmed_then_a_check_comes_first(lead: Start) -> None:
    t = lead()
    claim = t.claim(waits=True)
    t.runs(2_000)
    t.wait_over(claim)
    assert t.waits(claim)
    t.checks()
    assert t.outcome(claim) == Claimed(())


def test_wait_when_over_after_it_was_served_then_it_gets_its_job(lead: Start) -> None:
    t = lead()
    claim = t.claim(waits=True)
    t.submit("a")
    t.wait_over(claim)
    t.ok()
    assert [grant.id for grant in t.grants(claim)] == ["a"]


def test_wait_when_over_twice_then_it_is_answered_once(lead: Start) -> None:
    t = lead()
    claim = t.claim(waits=True)
    t.wait_over(claim)
    t.wait_over(claim)
    assert t.outcome(claim) == Claimed(())


# Applied again


def test_reapplied_when_a_waiter_had_been_served_then_it_waits_again(lead: Start) -> None:
    t = lead()
    t.submit("a")
    t.ok()
    t.cancel("a")
    claim = t.claim(waits=True)
    t.ok()
    job = t.submit("b")
    before = t.data
    t.cancel("b")
    t.puts(edited(before, note="by hand"))
    t.conflicts()
    t.reads()
    assert statuses(t.write.data) == {}
    t.ok()
    t.outcome(job)
    assert t.waits(claim), "the job that it had been given does not come back"
    t.submit("c")
    t.ok()
    assert [grant.id for grant in t.grants(claim)] == ["c"]


def test_reapplied_when_it_waits_again_and_that_ends_then_it_is_answered_at_once(
    lead: Start,
) -> None:
    t = lead()
    waiting = waits_again(t)
    t.wait_over(waiting)
    assert t.outcome(waiting) == Claimed(())
    assert t.todo == []


def test_reapplied_when_it_waits_again_and_its_caller_goes_then_nothing_is_left(
    lead: Start,
) -> None:
    t = lead()
    waiting = waits_again(t)
    t.withdraw(waiting)
    t.runs(100)
    assert t.todo == []
    t.submit("b")
    assert statuses(t.write.data) == {"b": "unclaimed"}


def waits_again(t: Trace) -> Held:
    """A claim whose job was taken out by hand before its commit landed; it waits once more."""
    t.submit("a")
    t.ok()
    first = t.claim()
    t.ok()
    waiting = t.claim(waits=True)
    t.withdraw(first)
    t.puts(without_job(t.data, "a"))
    t.conflicts()
    t.reads()
    assert t.waits(waiting)
    while t.todo:
        t.ok()
    return waiting


def test_reapplied_when_its_job_is_there_again_then_the_waiter_gets_it(lead: Start) -> None:
    t = lead()
    claim = t.claim(waits=True)
    t.submit("a")
    t.puts(edited(t.data, note="by hand"))
    t.conflicts()
    t.reads()
    assert statuses(t.write.data) == {"a": "in_progress"}
    t.ok()
    assert [grant.id for grant in t.grants(claim)] == ["a"]


def test_reapplied_when_its_wait_was_over_meanwhile_then_it_is_answered(lead: Start) -> None:
    """Its wait ended while it had a job in a commit of unknown fate; the job is gone since."""
    t = lead()
    t.submit("a")
    t.ok()
    lease = t.claim()
    t.ok()
    waiting = t.claim(waits=True)
    t.withdraw(lease)
    assert statuses(t.write.data) == {"a": "in_progress"}
    t.unclear()
    t.wait_over(waiting)
    t.puts(without_job(t.data, "a"))
    t.runs(100)
    t.conflicts()
    t.reads()
    for _ in range(2):
        if t.asks_for() == ["Write"]:
            t.ok()
        if t.asks_for() == ["Check"]:
            t.checks()
    assert t.outcome(waiting) == Claimed(())


def test_reapplied_when_waiters_go_back_then_the_bound_holds(lead: Start) -> None:
    t = lead(commit=CommitSettings(waiting_claims_max=1))
    served = t.claim(waits=True)
    t.submit("a")
    t.cancel("a")
    waiting = t.claim(waits=True)
    t.puts(edited(t.data, note="by hand"))
    t.conflicts()
    t.reads()
    refused = [held for held in (served, waiting) if held in t.answered]
    assert [t.refusal(held).applied for held in refused] == ["no"]


# The caller has gone away


def test_withdrawn_when_it_waits_then_it_gets_nothing_any_more(lead: Start) -> None:
    t = lead()
    claim = t.claim(waits=True)
    t.withdraw(claim)
    t.submit("a")
    assert statuses(t.write.data) == {"a": "unclaimed"}
    assert t.waits(claim)


def test_withdrawn_when_its_grant_is_pending_then_the_job_is_free_in_the_same_commit(
    lead: Start,
) -> None:
    t = lead()
    t.submit("a")
    claim = t.claim()
    t.withdraw(claim)
    t.ok()
    t.ok()
    assert statuses(t.data) == {"a": "unclaimed"}
    assert t.waits(claim), "nobody is there to be answered"


def test_withdrawn_when_its_grant_is_in_flight_then_the_job_is_released_at_once(
    lead: Start,
) -> None:
    t = lead()
    claim = t.claim(waits=True)
    t.submit("a")
    t.withdraw(claim)
    t.ok()
    assert statuses(t.data) == {"a": "in_progress"}
    assert statuses(t.write.data) == {"a": "unclaimed"}
    assert "attempts" not in json.loads(t.write.data)["jobs"][0] or (
        json.loads(t.write.data)["jobs"][0]["attempts"] == 0
    )


def test_withdrawn_when_it_was_answered_then_the_job_is_released_at_once(lead: Start) -> None:
    t, _ = claimed_and_durable(lead)
    t.withdraw(t.asked[1])
    assert statuses(t.write.data) == {"a": "unclaimed"}


def test_withdrawn_when_its_job_is_done_already_then_nothing_happens(lead: Start) -> None:
    t, grant = claimed_and_durable(lead)
    t.complete(grant)
    t.ok()
    t.withdraw(t.asked[1])
    t.runs(100)
    assert t.todo == []


def test_withdrawn_when_its_commit_is_applied_again_then_it_is_left_out(lead: Start) -> None:
    t = lead()
    claim = t.claim(waits=True)
    t.submit("a")
    t.withdraw(claim)
    t.puts(edited(t.data, note="by hand"))
    t.conflicts()
    t.reads()
    assert statuses(t.write.data) == {"a": "unclaimed"}


def test_withdrawn_when_it_got_nothing_then_nothing_is_written(lead: Start) -> None:
    t = lead()
    t.runs(2_000)
    claim = t.claim()
    t.withdraw(claim)
    t.checks()
    assert t.todo == []
    assert t.waits(claim)


def test_withdrawn_when_it_has_ended_then_nothing_happens(lead: Start) -> None:
    t, _ = claimed_and_durable(lead)
    t.abandon()
    t.withdraw(t.asked[1])
    assert t.todo == []


def test_withdrawn_when_the_request_was_no_claim_then_it_still_takes_effect(lead: Start) -> None:
    t = lead()
    t.withdraw(t.submit("a"))
    t.ok()
    assert job_ids(t.data) == ["a"]


# The same claim again


def test_claim_when_repeated_then_it_gets_the_leases_that_it_holds(lead: Start) -> None:
    t = lead()
    t.submit("a", "b")
    first, second = t.claim(claim_id="c1"), t.claim(claim_id="c1")
    t.ok()
    t.ok()
    assert t.grants(first) == t.grants(second)
    assert statuses(t.data) == {"a": "in_progress", "b": "unclaimed"}


def test_waiting_claim_when_its_id_holds_leases_then_it_is_served_without_taking_more(
    lead: Start,
) -> None:
    t = lead()
    waiting = [t.ask(Claim("w", f"s{n}", None, 1, "c1"), waits=True) for n in range(2)]
    t.submit("a", "b")
    t.ok()
    assert t.grants(waiting[0]) == t.grants(waiting[1])
    assert statuses(t.data) == {"a": "in_progress", "b": "unclaimed"}
