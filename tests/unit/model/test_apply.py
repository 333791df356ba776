"""The order of jobs, their attempts and their ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import UNSET, Raw

from osqueue.model.ops import Lead, Resign
from osqueue.model.outcomes import Done, Grant, NotFound

from .driver import Driver, noted


def test_claim_when_several_wait_then_first_in_first_out() -> None:
    queue = Driver()
    queue.submit("a", "b")
    queue.submit("c")
    assert [queue.claim_ids(), queue.claim_ids(most=5), queue.claim_ids()] == [
        ["a"],
        ["b", "c"],
        [],
    ]


def test_claim_when_priorities_differ_then_the_lower_value_first() -> None:
    queue = Driver()
    for job_id, priority in (("a", 0), ("b", 1), ("c", -1), ("d", 0), ("e", 2**53 - 1), ("f", -1)):
        queue.submit(job_id, priority=priority)
    queue.reload()
    assert queue.claim_ids(most=9) == ["c", "f", "a", "d", "b", "e"]


def test_claim_when_types_are_wanted_then_only_these() -> None:
    queue = Driver()
    for job_id, type_ in (("a", "x"), ("b", ""), ("c", "y"), ("d", "x")):
        queue.submit(job_id, type=type_)
    assert queue.claim_ids("z") == []
    assert queue.claim_ids("y", "x", most=2) == ["a", "c"]
    assert queue.claim_ids("", most=2) == ["b"]
    assert queue.claim_ids(most=2) == ["d"]


def test_claim_when_granted_then_all_that_a_worker_needs() -> None:
    queue = Driver()
    queue.submit("a", type="t", payload=Raw(b'{"n": 1}'), priority=4)
    queue.submit("b", max_attempts=0, priority=5)
    at = queue.now.wall
    assert queue.claim(most=2) == (
        Grant("a", "t", Raw(b'{"n": 1}'), "lease1-0", 1, 3, at, 4),
        Grant("b", "", UNSET, "lease1-1", 1, 1, at, 5),
    )


def test_claim_when_paused_then_nothing_new_but_held_ones_are_answered() -> None:
    queue = Driver()
    queue.submit("a", "b")
    held = queue.claim(claim_id="c")
    queue.pause()
    assert queue.claim() == ()
    assert queue.claim(claim_id="c") == held
    queue.resume()
    assert queue.claim_ids() == ["b"]


def test_claim_when_a_job_is_delayed_then_not_before_its_time_and_in_order_of_arrival() -> None:
    queue = Driver()
    queue.submit("late", run_at=queue.now.wall + 10)
    queue.submit("now", "other")
    queue.passes(9)
    assert queue.claim_ids() == ["now"]
    queue.passes(1)
    assert queue.claim_ids(most=9) == ["late", "other"]


@pytest.mark.parametrize(
    "give_back",
    [
        lambda queue: queue.fail("a"),
        lambda queue: queue.release("a"),
        lambda queue: (queue.passes(30_000), queue.expire()),
    ],
)
def test_claim_when_a_job_came_back_then_it_is_ahead_of_later_ones(
    give_back: Callable[[Driver], object],
) -> None:
    queue = Driver()
    queue.submit("a", "b", "c")
    queue.claim()
    give_back(queue)
    assert queue.claim_ids(most=9) == ["a", "b", "c"]


def fail(queue: Driver) -> object:
    return queue.fail("a")


def expire(queue: Driver) -> object:
    queue.passes(30_000)
    return queue.expire()


@pytest.mark.parametrize(("max_attempts", "tries"), [(None, 3), (0, 1), (1, 1), (2, 2), (5, 5)])
@pytest.mark.parametrize("lose", [fail, expire])
def test_attempts_when_all_are_used_up_then_a_dead_letter(
    max_attempts: int | None, tries: int, lose: Callable[[Driver], object]
) -> None:
    queue = Driver()
    queue.submit("a", max_attempts=max_attempts)
    for attempt in range(1, tries + 1):
        assert [grant.attempt for grant in queue.claim()] == [attempt]
        lose(queue)
    assert queue.view("a").status == "dead"
    assert (queue.counts().dead, queue.counts().dead_total) == (1, 1)
    assert queue.claim() == ()
    queue.reload()
    assert queue.claim() == ()
    assert queue.job("a")["status"] == "dead"


def test_fail_when_it_is_not_to_be_retried_then_dead_at_once_with_the_error() -> None:
    queue = Driver()
    queue.submit("a", max_attempts=9)
    queue.claim()
    assert queue.fail("a", retry=False) == Done()
    view = queue.view("a")
    assert (view.status, view.last_error) == ("dead", noted())


def test_fail_when_delayed_then_it_waits_and_keeps_the_error() -> None:
    queue = Driver()
    queue.submit("a", "b")
    queue.claim()
    queue.fail("a", delay_ms=50)
    assert (queue.view("a").run_at, queue.view("a").last_error) == (queue.now.wall + 50, noted())
    queue.reload()
    queue.passes(49)
    assert queue.claim_ids() == ["b"]
    queue.passes(1)
    assert queue.claim_ids() == ["a"]


def test_fail_when_the_delay_is_nothing_then_it_is_ready_at_once() -> None:
    queue = Driver()
    queue.submit("a")
    queue.claim()
    queue.fail("a", delay_ms=0)
    assert queue.view("a").run_at is None
    queue.claim()
    queue.fail("a", delay_ms=1)
    assert queue.view("a").run_at == queue.now.wall + 1


def test_fail_when_delayed_but_out_of_attempts_then_dead_and_not_delayed() -> None:
    queue = Driver()
    queue.submit("a", max_attempts=1)
    queue.claim()
    queue.fail("a", delay_ms=50)
    assert (queue.view("a").status, queue.view("a").run_at) == ("dead", None)


def test_expire_when_a_lease_runs_out_then_the_error_names_the_worker() -> None:
    queue = Driver()
    queue.submit("a")
    queue.claim(worker="w-77")
    expire(queue)
    error = queue.job("a")["lastError"]
    assert error["type"] == "LeaseExpired"
    assert "w-77" in error["message"]


def test_retry_when_dead_then_all_attempts_again_at_its_old_place() -> None:
    queue = Driver()
    queue.submit("a", "b", max_attempts=2)
    for _ in range(2):
        queue.claim()
        queue.fail("a")
    assert queue.retry("a") == Done()
    assert queue.view("a").attempts == 0
    for attempt in (1, 2):
        (grant,) = queue.claim()
        assert (grant.id, grant.attempt) == ("a", attempt)
        queue.fail("a")
    assert queue.view("a").status == "dead"
    assert queue.counts().dead_total == 2


def test_retry_when_repeated_then_done_and_nothing_more_happens() -> None:
    queue = Driver()
    queue.submit("a", max_attempts=1)
    queue.claim()
    queue.fail("a")
    queue.retry("a")
    queue.claim()
    before = queue.encoded
    assert queue.retry("a") == Done()
    assert queue.encoded == before


def test_release_when_given_back_then_the_attempt_does_not_count() -> None:
    queue = Driver()
    queue.submit("a", max_attempts=1)
    for _ in range(5):
        assert [grant.attempt for grant in queue.claim()] == [1]
        assert queue.release("a") == Done()
    assert (queue.view("a").status, queue.view("a").attempts) == ("unclaimed", 0)


@pytest.mark.parametrize("prepare", ["waiting", "delayed", "running"])
def test_cancel_when_the_job_has_not_ended_then_it_is_gone_and_repeating_is_done(
    prepare: str,
) -> None:
    queue = Driver()
    queue.submit("a", run_at=queue.now.wall + 5 if prepare == "delayed" else None)
    if prepare == "running":
        queue.claim()
    assert queue.cancel("a") == Done()
    before = queue.encoded
    assert queue.cancel("a") == Done()
    assert queue.encoded == before
    queue.passes(100_000)
    assert queue.claim() == ()
    assert queue.counts().completed_total == queue.counts().unclaimed == 0


def test_cancel_when_dead_then_discarded_and_not_replayable() -> None:
    queue = Driver()
    queue.submit("a")
    queue.claim()
    queue.fail("a", retry=False)
    assert queue.cancel("a") == Done()
    assert queue.cancel("a") == Done()
    assert queue.retry("a") == NotFound("a", "discarded")
    assert (queue.counts().dead, queue.counts().dead_total) == (0, 1)


def test_lead_when_taken_and_given_back_then_the_header_says_so() -> None:
    queue = Driver()
    assert queue.do(Lead(7, "h:1", "me", 3_000)) == Done()
    header = queue.state.header
    assert queue.state.revision == 1
    assert (header.epoch, header.broker, header.broker_id) == (7, "h:1", "me")
    assert header.heartbeat_every == 3_000
    header.commit = "7-4"
    before = queue.state.revision
    assert queue.do(Resign()) == Done()
    assert (header.epoch, header.broker, header.broker_id) == (7, None, None)
    assert queue.state.revision > before
    queue.do(Lead(8, "h:2", "you", 3_000))
    assert queue.state.header.lineage == {"7": "7-4"}
