"""Doing something to many jobs at once."""

from __future__ import annotations

from osqueue.model.ops import Act, Cancel, JobFilter, Retry, Seal, SetPriority
from osqueue.model.outcomes import Acted, Done, Leaving, NotFound, NotWaiting

from .driver import Driver

DONE = Done()


def act(queue: Driver, each: list[Cancel | Retry | SetPriority], **wanted: str) -> list[object]:
    outcome = queue.do(Act(tuple(each), JobFilter(**wanted) if wanted else None))
    assert isinstance(outcome, Acted)
    return list(outcome.each)


def cancels(*job_ids: str) -> list[Cancel | Retry | SetPriority]:
    return [Cancel(job_id) for job_id in job_ids]


def retries(*job_ids: str) -> list[Cancel | Retry | SetPriority]:
    return [Retry(job_id) for job_id in job_ids]


def status(queue: Driver, job_id: str) -> str:
    return queue.view(job_id).status


def dying(*job_ids: str) -> Driver:
    queue = Driver(archived=True, dead_max=100)
    queue.submit(*job_ids)
    queue.claim(most=len(job_ids))
    for job_id in job_ids:
        queue.fail(job_id, retry=False)
    return queue


def test_act_when_jobs_are_in_every_place_then_each_is_cancelled() -> None:
    queue = Driver()
    queue.submit("held", "dead", "ready")
    queue.submit("later", run_at=queue.now.wall + 9)
    queue.claim(most=2)
    queue.fail("dead", retry=False)
    assert act(queue, cancels("held", "dead", "ready", "later")) == [DONE] * 4
    ended = [status(queue, each) for each in ("held", "dead", "ready", "later")]
    assert ended == ["cancelled", "discarded", "cancelled", "cancelled"]
    assert queue.counts().unclaimed == queue.counts().in_progress == queue.counts().dead == 0


def test_act_when_one_is_refused_then_the_others_are_done() -> None:
    queue = dying("a", "b")
    queue.submit("c")
    queue.claim()
    queue.complete("c")
    wanted = [DONE, NotFound("none"), NotFound("c", "completed"), DONE]
    assert act(queue, retries("a", "none", "c", "b")) == wanted
    assert status(queue, "a") == status(queue, "b") == "unclaimed"


def test_act_when_repeated_by_ids_then_the_same_answer_and_nothing_changes() -> None:
    queue = dying("a")
    queue.submit("b")
    assert act(queue, [Retry("a"), Cancel("b")]) == [DONE, DONE]
    before = queue.encoded
    assert act(queue, [Retry("a"), Cancel("b")]) == [DONE, DONE]
    assert queue.encoded == before


def test_act_when_jobs_have_changed_since_they_were_meant_then_left_alone() -> None:
    queue = dying("a", "b", "c")
    queue.retry("a")
    queue.cancel("b")
    assert act(queue, cancels("a", "b", "c", "none"), status="dead") == [None, None, DONE, None]
    assert status(queue, "a") == "unclaimed"


def test_act_when_a_delay_has_ended_by_then_the_job_is_not_delayed_any_more() -> None:
    queue = Driver()
    queue.submit("a", run_at=queue.now.wall + 5)
    queue.passes(5)
    assert act(queue, cancels("a"), status="delayed") == [None]
    assert act(queue, cancels("a"), status="ready") == [DONE]


def test_act_when_a_dead_letter_is_on_its_way_to_the_archive_then_refused_for_now() -> None:
    queue = Driver(archived=True, dead_max=0)
    queue.submit("a")
    queue.claim()
    queue.fail("a", retry=False)
    queue.do(Seal("token", 10, 10_000))
    assert act(queue, retries("a")) == [Leaving("a")]


def test_act_when_the_order_is_changed_then_only_of_those_that_wait() -> None:
    queue = dying("dead")
    queue.submit("a", "b", "c")
    sooner = [SetPriority(job_id, -5) for job_id in ("dead", "c", "none", "b")]
    wanted = [NotWaiting("dead", "dead"), DONE, NotFound("none"), DONE]
    assert act(queue, list(sooner)) == wanted
    assert queue.claim_ids(most=3) == ["b", "c", "a"]


def test_act_when_nothing_is_named_then_nothing_changes() -> None:
    queue = Driver()
    before = queue.state.revision
    assert act(queue, []) == []
    assert queue.state.revision == before
