"""Who may end an attempt, for how long, and what a repeated or late request is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from osqueue.model import apply as apply_module
from osqueue.model.job import Moment
from osqueue.model.ops import Complete, LeaseRef
from osqueue.model.outcomes import Done, LeaseLost, NotFound, Outcome, Results

from .driver import Driver, job_json, state_json

End = Callable[[Driver, str | None], Outcome]

ENDS: dict[str, End] = {
    "complete": lambda queue, lease: queue.complete("a", lease),
    "fail": lambda queue, lease: queue.fail("a", lease),
    "fail for good": lambda queue, lease: queue.fail("a", lease, retry=False),
    "release": lambda queue, lease: queue.release("a", lease),
}


def beat(queue: Driver, lease: str | None) -> Outcome:
    return queue.heartbeat(LeaseRef("a", lease)).each[0]


def held(**limits: int) -> tuple[Driver, str]:
    """A queue whose job ``a`` is held by ``w``, and the lease."""
    queue = Driver(None, **limits)
    queue.submit("a")
    (grant,) = queue.claim()
    return queue, grant.lease


@pytest.mark.parametrize("end", ENDS)
def test_end_when_repeated_with_the_lease_that_ended_it_then_done_again(end: str) -> None:
    queue, lease = held()
    assert ENDS[end](queue, lease) == Done()
    before = queue.encoded
    assert ENDS[end](queue, lease) == Done()
    queue.reload()
    assert ENDS[end](queue, lease) == Done()
    assert queue.encoded == before


@pytest.mark.parametrize("end", ENDS)
def test_end_when_repeated_while_the_next_lease_runs_then_done_and_that_one_is_left_alone(
    end: str,
) -> None:
    queue, lease = held()
    ENDS[end](queue, lease)
    queue.claim(worker="w2")
    before = queue.encoded
    assert ENDS[end](queue, lease) == Done()
    assert queue.encoded == before


@pytest.mark.parametrize(
    ("first", "late"),
    [(one, other) for one in ENDS for other in ENDS if one.split()[0] != other.split()[0]],
)
def test_end_when_the_lease_ended_otherwise_then_the_lease_is_lost(first: str, late: str) -> None:
    queue, lease = held()
    ENDS[first](queue, lease)
    before = queue.encoded
    assert ENDS[late](queue, lease) == LeaseLost("a")
    assert queue.encoded == before


@pytest.mark.parametrize("end", ENDS)
def test_end_when_the_job_was_cancelled_under_the_worker_then_the_lease_is_lost(end: str) -> None:
    queue, lease = held()
    queue.cancel("a")
    assert ENDS[end](queue, lease) == LeaseLost("a")
    assert beat(queue, lease) == LeaseLost("a")
    assert queue.view("a").status == "cancelled"
    assert queue.counts().completed_total == 0


@pytest.mark.parametrize("end", ENDS)
def test_end_when_the_lease_expired_then_it_cannot_touch_the_job(end: str) -> None:
    queue, lease = held()
    queue.passes(30_000)
    queue.expire()
    assert ENDS[end](queue, lease) == beat(queue, lease) == LeaseLost("a")
    queue.claim(worker="w2")
    before = queue.encoded
    assert ENDS[end](queue, lease) == beat(queue, lease) == LeaseLost("a")
    assert queue.encoded == before


@pytest.mark.parametrize("finished_max", [0, 1_000])
@pytest.mark.parametrize("end", [*ENDS.values(), beat])
def test_end_when_the_job_is_over_then_lost_with_a_lease_and_not_found_without(
    finished_max: int, end: End
) -> None:
    queue, lease = held(finished_max=finished_max)
    queue.complete("a", lease)
    assert end(queue, "other") == LeaseLost("a")
    assert end(queue, None) == NotFound("a", "completed")


@pytest.mark.parametrize("end", [*ENDS.values(), beat])
def test_end_when_there_never_was_such_a_job_then_not_found(end: End) -> None:
    assert end(Driver(), "l") == end(Driver(), None) == NotFound("a")


def test_end_when_it_has_been_forgotten_then_not_found() -> None:
    queue, lease = held(finished_max=0, dedupe_window_ms=1_000)
    queue.complete("a", lease)
    queue.passes(1_001)
    queue.forget()
    assert queue.complete("a", lease) == NotFound("a")


def test_end_when_more_leases_ended_than_are_remembered_then_the_oldest_is_lost() -> None:
    queue, lease = held(dedupe_max=2)
    queue.release("a", lease)
    (second,) = queue.claim()
    queue.release("a", second.lease)
    (third,) = queue.claim()
    queue.release("a", third.lease)
    assert queue.release("a", lease) == LeaseLost("a")
    assert queue.release("a", second.lease) == queue.release("a", third.lease) == Done()


@pytest.mark.parametrize("end", ENDS)
def test_end_when_only_the_worker_is_stated_then_it_must_match(end: str) -> None:
    queue = Driver()
    queue.submit("a")
    queue.claim(worker="other")
    assert ENDS[end](queue, None) == beat(queue, None) == LeaseLost("a")
    queue.release("a", worker="other")
    queue.claim(worker="w")
    assert beat(queue, None) == Done()
    assert ENDS[end](queue, None) == Done()


def test_end_when_a_lease_is_stated_then_the_worker_does_not_matter() -> None:
    queue, lease = held()
    assert queue.complete("a", lease, worker="renamed") == Done()


def test_end_when_the_worker_is_right_and_the_lease_stale_then_lost() -> None:
    queue, lease = held()
    queue.release("a", lease)
    queue.claim()
    assert queue.complete("a", lease) == LeaseLost("a")
    assert queue.view("a").status == "in_progress"


def test_end_when_an_older_job_runs_for_nobody_then_no_worker_can_end_it_but_it_expires() -> None:
    queue = Driver(state_json(job_json(status="in_progress", attempts=1, heartbeat=5)))
    assert queue.complete("a", worker="w") == queue.complete("a", "l") == LeaseLost("a")
    queue.passes(30_000)
    queue.expire()
    assert queue.view("a").status == "unclaimed"


def test_complete_when_many_are_reported_then_each_has_its_own_answer() -> None:
    queue = Driver()
    queue.submit("a", "b", "c")
    a, b = queue.claim(most=2)
    refs = (LeaseRef("a", a.lease), LeaseRef("c", "l"), LeaseRef("x", "l"), LeaseRef("b", b.lease))
    outcome = queue.do(Complete("w", refs))
    assert outcome == Results((Done(), LeaseLost("c"), NotFound("x"), Done()))
    assert queue.counts().completed_total == 2


def test_claim_when_repeated_then_the_leases_that_it_still_holds() -> None:
    queue = Driver()
    queue.submit("a", "b", "c", "d")
    grants = queue.claim(most=3, claim_id="c")
    before = queue.encoded
    assert queue.claim(most=3, claim_id="c") == grants
    assert queue.encoded == before
    queue.reload()
    assert queue.claim(most=1, claim_id="c") == grants
    queue.complete("a")
    queue.release("b")
    assert queue.claim(most=3, claim_id="c") == grants[2:]


def test_claim_when_repeated_after_all_its_leases_ended_then_new_ones() -> None:
    queue = Driver()
    queue.submit("a", "b")
    queue.claim(claim_id="c")
    queue.complete("a")
    assert [grant.id for grant in queue.claim(claim_id="c")] == ["b"]


def test_claim_when_another_worker_uses_the_same_claim_id_then_it_gets_its_own() -> None:
    queue = Driver()
    queue.submit("a", "b")
    queue.claim(claim_id="c", worker="w1")
    assert [grant.id for grant in queue.claim(claim_id="c", worker="w2")] == ["b"]


def test_expire_when_the_time_out_has_not_passed_then_the_lease_stands() -> None:
    queue, lease = held()
    queue.passes(29_999)
    queue.expire()
    assert beat(queue, lease) == Done()
    queue.passes(29_999)
    queue.expire()
    assert queue.view("a").status == "in_progress"
    queue.passes(1)
    queue.expire()
    assert queue.view("a").status == "unclaimed"


def test_expire_when_only_the_wall_clock_moved_then_no_lease_runs_out() -> None:
    queue, _ = held()
    queue.now = Moment(queue.now.wall + 10**9, queue.now.serving + 29_999)
    queue.expire()
    assert queue.view("a").status == "in_progress"
    queue.now = Moment(0, queue.now.serving + 1)
    queue.expire()
    assert queue.view("a").status == "unclaimed"


def test_expire_when_more_leases_are_due_than_fit_then_the_rest_is_due_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apply_module, "EXPIRE_BATCH_MAX", 2)
    queue = Driver()
    queue.submit("a", "b", "c")
    queue.claim(most=3)
    queue.passes(30_000)
    queue.expire()
    assert queue.counts().in_progress == 1
    assert queue.state.leases.next_deadline() == queue.now.serving
    queue.expire()
    assert queue.counts().in_progress == 0


def test_heartbeat_when_some_leases_are_lost_then_the_others_are_renewed() -> None:
    queue = Driver()
    queue.submit("a", "b")
    a, b = queue.claim(most=2)
    queue.passes(20_000)
    beats = queue.heartbeat(LeaseRef("a", a.lease), LeaseRef("b", "stale"), LeaseRef("x", "l"))
    assert beats == Results((Done(), LeaseLost("b"), NotFound("x")))
    queue.passes(10_000)
    queue.expire()
    assert (queue.view("a").status, queue.view("b").status) == ("in_progress", "unclaimed")
    assert beat(queue, a.lease) == Done()
    assert queue.complete("b", b.lease) == LeaseLost("b")


def test_heartbeat_when_its_list_is_complete_then_older_leases_left_out_are_released() -> None:
    queue = Driver(orphan_after_ms=10_000)
    queue.submit("lost", "kept", "foreign", "young")
    queue.claim()
    (kept,) = queue.claim()
    queue.claim(worker="w2")
    queue.passes(10_001)
    queue.claim()
    queue.heartbeat(LeaseRef("kept", kept.lease), complete=True)
    statuses = [queue.view(job_id).status for job_id in ("lost", "kept", "foreign", "young")]
    assert statuses == ["unclaimed", "in_progress", "in_progress", "in_progress"]
    assert queue.view("lost").attempts == 0


def test_heartbeat_when_a_lease_left_out_is_just_young_enough_then_it_stands() -> None:
    queue, _ = held(orphan_after_ms=10_000)
    queue.passes(10_000)
    queue.heartbeat(complete=True)
    queue.passes(1)
    queue.heartbeat()
    assert queue.view("a").status == "in_progress"
    queue.heartbeat(complete=True)
    assert queue.view("a").status == "unclaimed"


def test_heartbeat_when_it_lists_an_earlier_lease_of_the_job_then_the_later_is_left_out() -> None:
    queue, lease = held(orphan_after_ms=10_000)
    queue.release("a", lease)
    queue.claim()
    queue.passes(10_001)
    queue.heartbeat(LeaseRef("a", lease), complete=True)
    assert queue.view("a").status == "unclaimed"


def test_heartbeat_when_the_claim_was_repeated_of_late_then_a_list_of_before_takes_nothing() -> (
    None
):
    """A network held both back: the worker learns of its lease only now."""
    queue = Driver(orphan_after_ms=10_000)
    queue.submit("a")
    first = queue.claim(claim_id="c")
    queue.passes(15_000)
    assert queue.claim(claim_id="c") == first
    queue.heartbeat(complete=True)
    assert queue.view("a").status == "in_progress"


def test_heartbeat_when_it_lists_a_job_without_lease_then_it_is_on_the_list() -> None:
    queue, _ = held(orphan_after_ms=10_000)
    queue.passes(10_001)
    queue.heartbeat(LeaseRef("a"), complete=True)
    assert queue.view("a").status == "in_progress"


def test_release_when_an_orphan_was_taken_back_then_its_lease_is_lost() -> None:
    queue, lease = held(orphan_after_ms=10_000)
    queue.passes(10_001)
    queue.heartbeat(complete=True)
    assert queue.complete("a", lease) == queue.release("a", lease) == LeaseLost("a")
