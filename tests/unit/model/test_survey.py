"""How a queue stands as a whole, and what has happened to it, at a bounded cost."""

from __future__ import annotations

import pytest
from msgspec import Raw

from osqueue.config import (
    OVERVIEW_JOBS_MAX,
    OVERVIEW_TYPES_MAX,
    OVERVIEW_WORKER_JOBS_MAX,
    OVERVIEW_WORKERS_MAX,
)
from osqueue.model.apply import apply
from osqueue.model.ops import Claim, LeaseRef, NewJob, Submit, Survey
from osqueue.model.outcomes import Surveyed, TypeDepth
from osqueue.model.state import QueueState
from osqueue.model.tally import Tally

from .driver import START, Driver, job_json, state_json


def look(queue: Driver, *workers: str) -> Surveyed:
    surveyed = queue.do(Survey(workers))
    assert isinstance(surveyed, Surveyed)
    return surveyed


def told(queue: Driver) -> Tally:
    """What has happened since this was last asked."""
    tally, queue.state.tally = queue.state.tally, Tally()
    return tally


def test_survey_when_there_are_no_jobs_then_nothing() -> None:
    surveyed = look(Driver())
    assert (surveyed.types, surveyed.workers, surveyed.oldest_ready_ms) == ({}, (), None)
    assert surveyed.others == TypeDepth(0, 0, 0)


def test_survey_when_jobs_are_of_several_types_then_each_is_counted() -> None:
    queue = Driver()
    queue.submit("a", "b", "c", type="t")
    queue.submit("d", run_at=START.wall + 50)
    queue.claim("t", most=2)
    queue.fail("a", retry=False)
    surveyed = look(queue)
    assert surveyed.types == {"t": TypeDepth(1, 1, 1)}
    assert surveyed.counts.delayed == 1
    assert surveyed.oldest_ready_ms == START.wall
    queue.passes(50)
    assert look(queue).types[""] == TypeDepth(1, 0, 0)


def test_survey_when_types_are_hostile_then_the_largest_are_told_apart_and_none_is_lost() -> None:
    queue = Driver()
    large = [NewJob(f"l{n}", "large") for n in range(50)]
    hostile = [NewJob(f"h{n}", f"hostile {n}") for n in range(3_000)]
    queue.do(Submit(tuple(large + hostile)))
    surveyed = look(queue)
    assert len(surveyed.types) == OVERVIEW_TYPES_MAX
    assert surveyed.types["large"].ready == 50
    assert sum(each.ready for each in surveyed.types.values()) + surveyed.others.ready == 3_050
    assert look(queue).types.keys() == surveyed.types.keys()


def test_survey_when_workers_are_many_then_as_many_and_their_jobs_are_bounded() -> None:
    queue = Driver()
    queue.do(Submit(tuple([NewJob(f"j{number}") for number in range(6_000)])))
    for number in range(300):
        apply(queue.state, Claim(f"w{number:03}", f"s{number}", max=20), START)
    surveyed = look(queue, "w299", "idle")
    assert len(surveyed.workers) == OVERVIEW_WORKERS_MAX
    assert [each.id for each in surveyed.workers[:3]] == ["w299", "idle", "w000"]
    assert {each.held for each in surveyed.workers} == {20, 0}
    assert sum(len(each.jobs) for each in surveyed.workers) <= OVERVIEW_JOBS_MAX
    assert surveyed.workers[1].seen_at is None


def test_survey_when_a_worker_holds_many_then_the_oldest_are_listed() -> None:
    queue = Driver()
    queue.submit(*[f"j{number:02}" for number in range(50)])
    queue.claim(most=49)
    queue.passes(700)
    queue.claim()
    (worker,) = look(queue).workers
    assert (worker.held, worker.seen_at) == (50, START.wall + 700)
    assert len(worker.jobs) == OVERVIEW_WORKER_JOBS_MAX
    assert (worker.jobs[0].id, worker.jobs[0].since) == ("j00", START.wall)


def test_survey_when_an_older_worker_has_no_name_then_it_is_told_without() -> None:
    queue = Driver(state_json(job_json(status="in_progress", attempts=1, heartbeat=5)))
    (worker,) = look(queue).workers
    assert (worker.id, worker.held, worker.seen_at) == ("", 1, 5)


def test_survey_when_a_worker_tells_how_far_it_is_then_that_stands_there() -> None:
    queue = Driver()
    queue.submit("a")
    (grant,) = queue.claim()
    queue.heartbeat(LeaseRef("a", grant.lease), progress=(Raw(b'{"done":1.0}'),))
    assert look(queue).workers[0].jobs[0].progress == Raw(b'{"done":1.0}')


@pytest.mark.parametrize("paused", [False, True])
def test_survey_when_the_queue_is_paused_then_it_says_so(*, paused: bool) -> None:
    queue = Driver()
    queue.state.paused = paused
    assert look(queue).paused is paused


def test_tally_when_jobs_live_and_end_then_each_thing_counts_once() -> None:
    queue = Driver()
    queue.submit("a", "b", "c", "d", max_attempts=2)
    queue.submit("a", max_attempts=2)
    queue.passes(30)
    queue.claim(most=4)
    queue.complete("a")
    queue.complete("a")
    queue.fail("b")
    queue.fail("c", retry=False)
    queue.passes(60_000)
    queue.expire()
    tally = told(queue)
    assert (tally.submitted, tally.completed, tally.failed, tally.dead) == (4, 1, 3, 1)
    assert tally.waited_ms == [30] * 4
    assert told(queue) == Tally()


def test_tally_when_jobs_could_not_be_claimed_at_first_then_that_is_no_wait() -> None:
    queue = Driver()
    queue.submit("late", run_at=START.wall + 500)
    queue.passes(540)
    queue.claim()
    queue.release("late")
    queue.passes(7)
    queue.claim()
    queue.fail("late", retry=False)
    queue.passes(1_000)
    queue.retry("late")
    queue.passes(9)
    queue.claim()
    assert told(queue).waited_ms == [40, 7, 9]


def test_tally_when_a_failed_job_waits_by_its_policy_then_only_what_comes_after_counts() -> None:
    queue = Driver()
    queue.submit("a")
    queue.claim()
    queue.fail("a", delay_ms=300)
    queue.passes(311)
    queue.claim()
    queue.fail("a", delay_ms=0)
    queue.passes(5)
    queue.claim()
    assert told(queue).waited_ms == [0, 11, 5]


def test_tally_when_the_state_is_read_anew_then_what_waited_before_is_not_made_up() -> None:
    queue = Driver()
    queue.submit("new", "old")
    queue.claim(most=2)
    queue.fail("old")
    queue.passes(5_000)
    queue.reload()
    assert queue.state.tally == Tally()
    queue.passes(3)
    queue.claim()
    assert told(queue).waited_ms == [3]
    assert look(queue).workers[0].jobs[0].since == START.wall + 5_000


def test_state_when_made_then_nothing_has_happened() -> None:
    assert QueueState(Driver().limits).tally == Tally()
