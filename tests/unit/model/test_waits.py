"""Jobs that wait for other jobs: when they are free, when they end, what is kept of it."""

from __future__ import annotations

import json

import pytest

from osqueue.config import CHILDREN_MAX
from osqueue.model.invariants import check
from osqueue.model.job import Moment
from osqueue.model.ops import Act, Cancel, Drop, JobFilter, ListJobs, NewJob, Retry, Seal, Submit
from osqueue.model.outcomes import (
    Acted,
    Done,
    IdConflict,
    Outcome,
    Page,
    ParentMissing,
    Sealed,
    Submitted,
    TooManyChildren,
)
from osqueue.model.state import new_job_weight, weight_of

from .driver import START, Driver, job_json, state_json


def submit(queue: Driver, *jobs: NewJob) -> Outcome:
    return queue.do(Submit(jobs))


def chain(queue: Driver, *job_ids: str) -> None:
    """Each after the one before."""
    pairs = zip(job_ids, ((), *[(each,) for each in job_ids]), strict=False)
    submit(queue, *[NewJob(job_id, after=after) for job_id, after in pairs])


def listed(queue: Driver, status: str) -> list[str]:
    page = queue.do(ListJobs(100, None, status))
    assert isinstance(page, Page)
    return [job.id for job in page.jobs]


def finish(queue: Driver, job_id: str) -> None:
    (grant,) = queue.claim()
    assert grant.id == job_id
    assert queue.complete(job_id, grant.lease) == Done()


def test_child_when_its_parents_complete_then_free_with_the_last_of_them() -> None:
    queue = Driver()
    submit(queue, NewJob("a"), NewJob("b"), NewJob("c", after=("a", "b")))
    assert queue.view("c").waits_for == ("a", "b")
    finish(queue, "a")
    assert queue.view("c").waits_for == ("b",)
    assert queue.claim_ids(most=9) == ["b"]
    queue.complete("b", worker="w")
    assert (queue.view("c").after, queue.view("c").waits_for) == (("a", "b"), ())
    assert queue.claim_ids() == ["c"]


def test_child_when_it_waits_then_counted_and_listed_as_waiting_and_as_nothing_else() -> None:
    queue = Driver()
    submit(queue, NewJob("a"), NewJob("b", run_at=START.wall + 9, after=("a",)))
    counts = queue.counts()
    assert (counts.unclaimed, counts.waiting, counts.delayed) == (2, 1, 0)
    assert (listed(queue, "ready"), listed(queue, "delayed")) == (["a"], [])
    assert (listed(queue, "waiting"), listed(queue, "unclaimed")) == (["b"], ["a", "b"])


def test_child_when_it_is_free_before_its_time_then_delayed_until_that() -> None:
    queue = Driver()
    submit(queue, NewJob("a"), NewJob("b", run_at=START.wall + 1_000, after=("a",)))
    finish(queue, "a")
    assert (queue.counts().delayed, queue.claim()) == (1, ())
    queue.passes(1_000)
    assert queue.claim_ids() == ["b"]


def test_child_when_it_is_free_after_its_time_then_it_has_not_waited_in_the_queue_yet() -> None:
    queue = Driver()
    submit(queue, NewJob("a"), NewJob("b", run_at=START.wall + 1_000, after=("a",)))
    queue.passes(5_000)
    finish(queue, "a")
    queue.state.tally.waited_ms.clear()
    queue.passes(300)
    assert queue.claim_ids() == ["b"]
    assert queue.state.tally.waited_ms == [300]


def test_children_when_free_then_by_priority_and_order_of_arrival() -> None:
    queue = Driver()
    after = ("a",)
    submit(queue, NewJob("a"), NewJob("b", after=after), NewJob("c", after=after))
    submit(queue, NewJob("d", priority=-1, after=after), NewJob("e"))
    finish(queue, "a")
    assert queue.claim_ids(most=9) == ["d", "b", "c", "e"]


def test_set_priority_when_the_job_waits_then_it_counts_once_it_is_free() -> None:
    queue = Driver()
    submit(queue, NewJob("a"), NewJob("b", after=("a",)), NewJob("c", after=("a",)))
    assert queue.set_priority("c", -5) == Done()
    finish(queue, "a")
    assert queue.claim_ids(most=9) == ["c", "b"]


def test_parent_when_it_is_completed_and_remembered_then_done() -> None:
    queue = Driver(finished_max=1)
    queue.submit("a", "b")
    finish(queue, "a")
    finish(queue, "b")  # of `a` only its end is remembered now
    submit(queue, NewJob("c", after=("a", "b")))
    assert (queue.view("c").after, queue.view("c").waits_for) == (("a", "b"), ())
    assert queue.claim_ids() == ["c"]


def test_parent_when_it_is_completed_twice_then_the_first_answer_and_nothing_more() -> None:
    queue = Driver()
    chain(queue, "a", "b", "c")
    (grant,) = queue.claim()
    for _ in range(2):
        assert queue.complete("a", grant.lease) == Done()
    assert queue.counts().waiting == 1


@pytest.mark.parametrize("fails", [False, True])
def test_parent_when_it_is_given_up_then_refused_and_how_it_ended(*, fails: bool) -> None:
    queue = Driver()
    queue.submit("a")
    if fails:
        queue.claim()
        queue.fail("a", retry=False)
    queue.cancel("a")
    how = "discarded" if fails else "cancelled"
    before = queue.encoded
    assert submit(queue, NewJob("z"), NewJob("b", after=("a",))) == ParentMissing("b", "a", how)
    assert queue.encoded == before


@pytest.mark.parametrize(
    "jobs",
    [
        (NewJob("b", after=("a",)),),
        (NewJob("b", after=("b",)),),
        (NewJob("b", after=("a",)), NewJob("a")),
        (NewJob("b", after=("a",)), NewJob("a", after=("b",))),
    ],
)
def test_parent_when_it_is_not_known_before_then_refused(jobs: tuple[NewJob, ...]) -> None:
    queue = Driver()
    before = queue.encoded
    outcome = submit(queue, *jobs)
    assert isinstance(outcome, ParentMissing)
    assert (outcome.id, outcome.ended, queue.encoded) == ("b", None, before)


def test_submit_when_the_job_is_known_then_the_same_whatever_it_is_to_run_after() -> None:
    queue = Driver()
    chain(queue, "a", "b")
    for after in ((), ("a",), ("none",), ("b",)):
        assert submit(queue, NewJob("b", after=after)) == Submitted(0)
    assert submit(queue, NewJob("b", "other", after=("a",))) == IdConflict("b")
    assert queue.view("b").waits_for == ("a",)


def test_submit_when_a_batch_is_repeated_and_partly_over_then_only_the_rest_is_added() -> None:
    queue = Driver()
    chain(queue, "a", "b")
    finish(queue, "a")
    batch = (NewJob("a"), NewJob("b", after=("a",)), NewJob("c", after=("a", "b")))
    assert submit(queue, *batch) == Submitted(1)
    assert queue.view("c").waits_for == ("b",)


def test_parent_when_it_dies_and_lives_again_then_its_children_wait_on() -> None:
    queue = Driver()
    chain(queue, "a", "b")
    queue.claim()
    queue.fail("a", retry=False)
    assert queue.claim() == ()
    submit(queue, NewJob("c", after=("a",)))
    queue.retry("a")
    finish(queue, "a")
    assert queue.claim_ids(most=9) == ["b", "c"]


def test_parent_when_it_is_dead_in_the_archive_then_its_children_wait_and_a_replay_goes_on() -> (
    None
):
    queue = Driver(archived=True, dead_max=0)
    chain(queue, "a", "b")
    queue.claim()
    queue.fail("a", retry=False)
    sealed = queue.do(Seal("t", 9, 2**20))
    assert isinstance(sealed, Sealed)
    queue.do(Drop(sealed.key))
    assert submit(queue, NewJob("c", after=("a",))) == Submitted(1), "it may be replayed"
    queue.passes(queue.limits.dedupe_window_ms + 1)
    queue.forget()
    queue.reload()
    assert queue.view("b").waits_for == ("a",)
    assert queue.do(Retry("a", sealed.data.splitlines()[0])) == Done()
    finish(queue, "a")
    assert queue.claim_ids(most=9) == ["b", "c"]


@pytest.mark.parametrize("dies", [False, True])
def test_parent_when_it_is_given_up_then_all_that_wait_for_it_end_and_say_why(
    *, dies: bool
) -> None:
    queue = Driver()
    chain(queue, "a", "b", "c")
    submit(queue, NewJob("x"), NewJob("d", "big", after=("x", "b")), NewJob("free"))
    if dies:
        queue.claim()
        queue.fail("a", retry=False)
    assert queue.cancel("a") == Done()
    how = "discarded" if dies else "cancelled"
    for job_id, why in (("b", f"{how}: a"), ("c", "cancelled: b"), ("d", "cancelled: b")):
        view = queue.view(job_id)
        assert (view.status, view.waits_for, view.ended_at) == ("cancelled", (), START.wall)
        error = json.loads(bytes(view.last_error))  # type: ignore[arg-type] # it has one
        assert error["type"] == "ParentNotCompleted"
        assert error["message"] == f"waits for a job that was {why}"
    assert queue.counts().waiting == 0
    assert queue.claim_ids(most=9) == ["x", "free"]


def test_parent_when_very_many_wait_for_it_one_after_another_then_all_end() -> None:
    queue = Driver(finished_max=3_000)
    chain(queue, *[f"j{number}" for number in range(3_000)])
    queue.cancel("j0")
    assert queue.counts().unclaimed == 0
    assert queue.view("j2999").status == "cancelled"


def test_child_when_it_is_cancelled_then_its_parents_go_on() -> None:
    queue = Driver()
    chain(queue, "a", "b", "c")
    queue.cancel("b")
    assert (queue.view("b").waits_for, queue.view("c").status) == ((), "cancelled")
    finish(queue, "a")
    assert queue.claim() == ()


def test_act_when_parents_and_children_are_cancelled_together_then_each_is_done() -> None:
    queue = Driver()
    chain(queue, "a", "b", "c")
    each = tuple([Cancel(job_id) for job_id in ("a", "b", "c")])
    assert queue.do(Act(each, JobFilter("unclaimed"))) == Acted((Done(),) * 3)


def test_children_when_as_many_wait_as_may_then_refused() -> None:
    queue = Driver()
    queue.submit("a")
    children = [NewJob(f"c{number}", after=("a",)) for number in range(CHILDREN_MAX)]
    assert submit(queue, *children[:-1]) == Submitted(CHILDREN_MAX - 1)
    before = queue.encoded
    refused = TooManyChildren("a", CHILDREN_MAX)
    assert submit(queue, children[-1], NewJob("more", after=("a",))) == refused
    assert queue.encoded == before
    assert submit(queue, children[-1]) == Submitted(1)
    assert submit(queue, NewJob("more", after=("a",))) == refused
    queue.cancel("c0")
    assert submit(queue, NewJob("more", after=("a",))) == Submitted(1)


def test_state_when_it_is_written_and_read_then_the_same_jobs_wait_for_the_same() -> None:
    queue = Driver()
    submit(queue, NewJob("a"), NewJob("b"), NewJob("c", after=("b", "a")), NewJob("d"))
    finish(queue, "a")
    stored = queue.job("c")
    assert (stored["after"], stored["waitsFor"]) == (["b", "a"], ["b"])
    assert not {"after", "waitsFor"} & set(queue.job("d"))
    before = queue.encoded
    queue.reload()
    assert queue.encoded == before
    check(queue.state)
    finish(queue, "b")
    assert "waitsFor" not in queue.job("c")
    queue.reload()
    assert queue.claim_ids() == ["c"]
    queue.complete("c")
    assert queue.json["finished"][-1]["after"] == ["b", "a"]


def test_state_when_a_segment_has_been_encoded_then_a_completion_shows_in_it() -> None:
    queue = Driver()
    chain(queue, "a", "b")
    assert queue.encoded == queue.encoded
    finish(queue, "a")
    assert "waitsFor" not in queue.job("b")


def test_state_when_an_older_implementation_has_claimed_the_child_then_it_runs() -> None:
    held = job_json(status="in_progress", workerId="w", after=["p"], waitsFor=["p"])
    queue = Driver(state_json(held, job_json(id="p")))
    check(queue.state)
    assert queue.view("a").waits_for == ()
    assert queue.complete("a") == Done()


@pytest.mark.parametrize(
    ("fields", "after", "waits_for"),
    [
        ({"after": ["p", "p"], "waitsFor": ["p"]}, ("p",), ("p",)),
        ({"after": ["p"], "waitsFor": ["p", "q"]}, ("p",), ("p",)),
        ({"waitsFor": ["p"]}, (), ()),
        ({"after": "p", "waitsFor": 7}, (), ()),
        ({"after": ["a"], "waitsFor": ["a"]}, ("a",), ("a",)),
    ],
)
def test_state_when_others_have_written_it_then_it_opens_and_keeps_the_laws(
    fields: dict[str, object], after: tuple[str, ...], waits_for: tuple[str, ...]
) -> None:
    queue = Driver(state_json(job_json(**fields), job_json(id="p")))
    check(queue.state)
    assert (queue.view("a").after, queue.view("a").waits_for) == (after, waits_for)
    assert queue.cancel("p") == Done()
    queue.cancel("a")
    check(queue.state)


def test_weight_when_a_job_waits_then_as_much_before_as_after() -> None:
    queue = Driver()
    new = NewJob("b", after=("a",))
    submit(queue, NewJob("a"), new)
    assert new_job_weight(new) == weight_of(queue.state.jobs["b"]) > new_job_weight(NewJob("b"))
    finish(queue, "a")
    queue.reload()
    assert queue.state.size == new_job_weight(new)


def test_since_when_a_state_is_read_then_a_free_child_counts_from_now_on() -> None:
    queue = Driver()
    chain(queue, "a", "b")
    queue.passes(60_000)
    finish(queue, "a")
    queue.reload()
    queue.now = Moment(queue.now.wall + 10, queue.now.serving + 10)
    queue.claim()
    assert queue.state.tally.waited_ms == [10]
