"""Submitting: idempotent on the id, all or none, and bounded."""

from __future__ import annotations

import pytest
from msgspec import Raw

from osqueue.model.job import Moment
from osqueue.model.ops import NewJob, Submit
from osqueue.model.outcomes import Done, IdConflict, StateFull, Submitted
from osqueue.model.state import new_job_weight

from .driver import Driver


def test_submit_when_the_id_is_new_then_the_job_waits() -> None:
    queue = Driver()
    assert queue.submit("a", type="t", payload=Raw(b"[1]")) == Submitted(1)
    assert queue.json["jobs"] == [
        {
            "id": "a",
            "status": "unclaimed",
            "payload": [1],
            "type": "t",
            "createdAt": queue.now.wall,
            "attempts": 0,
        }
    ]


def test_submit_when_the_same_is_sent_again_then_it_adds_nothing() -> None:
    queue = Driver()
    queue.submit("a", type="t", payload=Raw(b"[1]"), priority=1)
    before = queue.encoded
    queue.passes(5)
    assert queue.submit("a", type="t", payload=Raw(b"[1]"), priority=2) == Submitted(0)
    assert queue.encoded == before


@pytest.mark.parametrize("where", ["waiting", "running", "dead", "written"])
@pytest.mark.parametrize(
    "other",
    [NewJob("a", "u", Raw(b"[1]")), NewJob("a", "t", Raw(b"[2]")), NewJob("a", "t")],
)
def test_submit_when_the_id_names_another_job_then_nothing_of_the_batch_is_stored(
    where: str, other: NewJob
) -> None:
    queue = Driver()
    queue.submit("a", type="t", payload=Raw(b"[1]"))
    if where in {"running", "dead"}:
        queue.claim()
    if where == "dead":
        queue.fail("a", retry=False)
    if where == "written":
        queue.reload()
    before = queue.encoded
    assert queue.do(Submit((NewJob("b"), other, NewJob("c")))) == IdConflict("a")
    assert queue.encoded == before


@pytest.mark.parametrize("finished_max", [0, 10])
@pytest.mark.parametrize("reload", [False, True])
def test_submit_when_the_id_names_an_ended_job_then_known_or_refused_by_its_content(
    finished_max: int, reload: bool
) -> None:
    queue = Driver(finished_max=finished_max)
    queue.submit("a", type="t", payload=Raw(b"[1]"))
    (grant,) = queue.claim()
    queue.complete("a", grant.lease)
    if reload:
        queue.reload()
    assert queue.do(Submit((NewJob("a", "t", Raw(b"[1]")),))) == Submitted(0)
    for other in (NewJob("a", "u", Raw(b"[1]")), NewJob("a", "t", Raw(b"[2]")), NewJob("a", "t")):
        assert queue.do(Submit((NewJob("b"), other))) == IdConflict("a")
    assert queue.json["jobs"] == []


def test_submit_when_some_of_a_batch_are_known_then_the_others_are_added_in_order() -> None:
    queue = Driver()
    queue.submit("b")
    assert queue.submit("a", "b", "c") == Submitted(2)
    assert queue.claim_ids(most=9) == ["b", "a", "c"]


def test_submit_when_an_id_comes_twice_in_a_batch_then_one_job_at_most() -> None:
    queue = Driver()
    assert queue.submit("a", "b", "a") == Submitted(2)
    assert queue.claim_ids(most=9) == ["a", "b"]
    before = queue.encoded
    assert queue.do(Submit((NewJob("c"), NewJob("c", "t")))) == IdConflict("c")
    assert queue.encoded == before


@pytest.mark.parametrize("finished_max", [0, 1_000])
@pytest.mark.parametrize("end", ["complete", "cancel"])
def test_submit_when_the_job_has_ended_then_it_is_known_for_the_window(
    finished_max: int, end: str
) -> None:
    queue = Driver(finished_max=finished_max, dedupe_window_ms=1_000)
    queue.submit("a")
    queue.claim()
    _ = queue.complete("a") if end == "complete" else queue.cancel("a")
    queue.passes(1_000)
    queue.forget()
    before = queue.encoded
    assert queue.submit("a") == Submitted(0)
    assert queue.encoded == before


def test_submit_when_the_window_is_over_then_the_id_is_free_again() -> None:
    queue = Driver(finished_max=0, dedupe_window_ms=1_000)
    queue.submit("a")
    queue.cancel("a")
    queue.passes(1_001)
    queue.forget()
    assert queue.submit("a", type="other") == Submitted(1)


def test_submit_when_more_jobs_ended_than_are_remembered_then_the_oldest_id_is_free() -> None:
    queue = Driver(finished_max=1, dedupe_max=2)
    for job_id in "abcd":
        queue.submit(job_id)
        queue.cancel(job_id)
    assert [queue.submit(job_id) for job_id in "bcda"] == [Submitted(0)] * 3 + [Submitted(1)]


def test_submit_when_the_finished_job_had_another_type_then_a_conflict() -> None:
    queue = Driver()
    queue.submit("a", type="t")
    queue.cancel("a")
    assert queue.submit("a", type="u") == IdConflict("a")


def test_submit_when_the_state_is_full_then_refused_while_all_else_goes_on() -> None:
    queue = Driver(state_bytes_max=1_000)
    assert queue.submit("a", "b", "c") == Submitted(3)
    before = queue.encoded
    assert queue.submit("d") == StateFull(1_000)
    assert queue.encoded == before
    assert queue.submit("a") == Submitted(0)
    queue.claim(most=2)
    assert queue.complete("a") == Done()
    queue.fail("b")
    assert queue.submit("d") == Submitted(1)


def test_submit_when_it_just_fits_then_taken() -> None:
    jobs = (NewJob("a", "t", Raw(b"[1]")), NewJob("b"))
    room = sum(map(new_job_weight, jobs))
    assert Driver(None, state_bytes_max=room - 1).do(Submit(jobs)) == StateFull(room - 1)
    assert Driver(None, state_bytes_max=room).do(Submit(jobs)) == Submitted(2)


def test_submit_when_a_batch_would_not_fit_as_a_whole_then_none_of_it() -> None:
    queue = Driver(state_bytes_max=1_000)
    assert queue.submit("a", "b", "c", "d") == StateFull(1_000)
    assert queue.submit("a", payload=Raw(b'"' + b"x" * 1_000 + b'"')) == StateFull(1_000)
    assert queue.json["jobs"] == []


def test_submit_when_run_at_is_past_then_the_job_is_not_delayed() -> None:
    queue = Driver()
    queue.submit("a", run_at=queue.now.wall)
    assert "runAt" not in queue.job("a")
    assert queue.counts().delayed == 0


@pytest.mark.parametrize("finished_max", [0, 10])
def test_submit_when_the_wall_clock_was_set_ahead_then_what_ended_is_still_known(
    finished_max: int,
) -> None:
    queue = Driver(finished_max=finished_max)
    queue.submit("a")
    queue.cancel("a")
    queue.now = Moment(queue.now.wall + 10 * 86_400_000, queue.now.serving)
    queue.forget()
    assert queue.submit("a") == Submitted(0)


def test_fail_when_repeated_after_the_wall_clock_was_set_ahead_then_it_is_done_once() -> None:
    queue = Driver()
    queue.submit("a")
    (grant,) = queue.claim()
    queue.fail("a", grant.lease)
    queue.now = Moment(queue.now.wall + 10 * 86_400_000, queue.now.serving)
    queue.forget()
    assert queue.fail("a", grant.lease) == Done()
    assert queue.view("a").attempts == 1
