"""What a job says of its attempts: kept, handed out, shared."""

from __future__ import annotations

import pytest
from msgspec import Raw

from osqueue.config import RetryPolicy
from osqueue.model.job import NO_TERMS, Terms
from osqueue.model.ops import NewJob
from osqueue.model.outcomes import IdConflict, Submitted
from osqueue.model.state import TERMS_SHARED_MAX, new_job_weight, weight_of

from .driver import Driver, job_json, state_json

POLICY = RetryPolicy(base_ms=50, factor=3.0, max_ms=900, jitter=0)
TERMS = Terms(POLICY, 2_000, keep_result=True)


def test_terms_when_submitted_then_written_handed_out_shown_and_read_again() -> None:
    queue = Driver()
    queue.submit("a", terms=TERMS)
    stored = queue.job("a")
    assert stored["retry"] == {"baseMs": 50, "factor": 3.0, "maxMs": 900, "jitter": 0}
    assert (stored["timeoutMs"], stored["keepResult"]) == (2_000, True)
    queue.reload()
    assert queue.view("a").terms == TERMS
    (grant,) = queue.claim()
    assert grant.terms == TERMS
    queue.complete("a", grant.lease)
    queue.reload()
    assert queue.view("a").terms == TERMS


def test_terms_when_there_are_none_then_nothing_is_written_and_one_object_stands_for_them() -> None:
    queue = Driver()
    queue.submit("a", "b")
    assert not {"retry", "timeoutMs", "keepResult"} & set(queue.job("a"))
    queue.reload()
    assert all(job.terms is NO_TERMS for job in queue.state.jobs.values())


def test_terms_when_many_jobs_say_the_same_then_they_share_one_object() -> None:
    queue = Driver()
    for number in range(3):
        queue.submit(f"j{number}", terms=Terms(RetryPolicy(base_ms=50), 9, keep_result=True))
    queue.reload()
    assert len({id(job.terms) for job in queue.state.jobs.values()}) == 1


def test_terms_when_all_are_different_then_what_is_shared_stays_bounded() -> None:
    queue = Driver()
    for number in range(TERMS_SHARED_MAX + 5):
        new = NewJob(f"j{number}", terms=Terms(timeout_ms=number + 1))
        queue.state.submit([new], 1, queue.now)
    assert len(queue.state._terms) <= TERMS_SHARED_MAX
    assert queue.state.jobs["j3"].terms == Terms(timeout_ms=4)


def test_terms_when_weighed_then_as_much_before_as_after() -> None:
    queue = Driver()
    new = NewJob("a", terms=TERMS)
    queue.submit("a", terms=TERMS)
    assert new_job_weight(new) == weight_of(queue.state.jobs["a"]) == queue.state.size
    assert new_job_weight(new) > new_job_weight(NewJob("a"))


def test_submit_when_repeated_with_other_terms_then_it_is_the_same_job() -> None:
    queue = Driver()
    queue.submit("a", terms=TERMS)
    assert queue.submit("a") == Submitted(0)
    assert queue.submit("a", type="other") == IdConflict("a")
    assert queue.view("a").terms == TERMS


@pytest.mark.parametrize(
    "odd",
    [
        {"retry": "twice"},
        {"retry": {"baseMs": -1}},
        {"timeoutMs": "1s"},
        {"timeoutMs": 0},
        {"timeoutMs": 10**30},
        {"keepResult": 1},
        {"earlierErrors": {}},
    ],
)
def test_terms_when_an_older_implementation_means_something_else_then_it_opens_without(
    odd: dict[str, object],
) -> None:
    queue = Driver(state_json(job_json(colour="red", **odd)))
    assert queue.view("a").terms == NO_TERMS
    assert queue.view("a").earlier == b""
    queue.claim()
    assert queue.job("a")["colour"] == "red"


def test_fail_when_the_job_has_a_policy_then_it_waits_by_that() -> None:
    queue = Driver()
    queue.submit("a", terms=TERMS, max_attempts=5)
    waits = []
    for _ in range(4):
        queue.claim()
        queue.fail("a", delay_ms=None)
        run_at = queue.view("a").run_at
        assert run_at is not None
        waits.append(run_at - queue.now.wall)
        queue.passes(waits[-1])
    assert waits == [50, 150, 450, 900]


def test_fail_when_the_job_has_none_then_it_waits_by_that_of_the_queue() -> None:
    queue = Driver(retry=RetryPolicy(base_ms=700, jitter=0))
    queue.submit("a")
    queue.claim()
    queue.fail("a", delay_ms=None)
    assert queue.view("a").run_at == queue.now.wall + 700


def test_fail_when_a_delay_is_said_then_that_one() -> None:
    queue = Driver()
    queue.submit("a", "b", terms=TERMS)
    queue.claim(most=2)
    queue.fail("a", delay_ms=0)
    queue.fail("b", delay_ms=77)
    assert (queue.view("a").run_at, queue.view("b").run_at) == (None, queue.now.wall + 77)


def test_expiry_when_the_job_has_a_policy_then_it_is_ready_at_once_all_the_same() -> None:
    queue = Driver()
    queue.submit("a", terms=TERMS)
    queue.claim()
    queue.passes(queue.limits.lease_timeout_ms)
    queue.expire()
    assert (queue.view("a").status, queue.view("a").run_at) == ("unclaimed", None)


def test_terms_when_a_dead_letter_comes_back_from_the_archive_then_they_still_hold() -> None:
    queue = Driver(archived=True, dead_max=0)
    queue.submit("a", terms=TERMS, payload=Raw(b"1"))
    queue.claim()
    queue.fail("a", retry=False)
    assert queue.state.jobs == {}
    queue.reload()
    queue.retry("a")
    assert queue.view("a").terms == TERMS
