"""An operation that fails inside harms no other, and leaves no trace."""

from __future__ import annotations

import pytest

from osqueue.engine import intake
from osqueue.model.apply import apply
from osqueue.model.job import Moment
from osqueue.model.ops import Claim, NewJob, Op, Submit
from osqueue.model.outcomes import Outcome, Submitted
from osqueue.model.state import QueueState

from .conftest import Start
from .harness import Trace
from .objects import edited, job_ids

FAULTY = "faulty"


@pytest.fixture(autouse=True)
def faulty_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Submitting a job of this type, or claiming as this worker, breaks off halfway."""

    def half_done(state: QueueState, op: Op, now: Moment) -> Outcome:
        if isinstance(op, Submit) and op.jobs[-1].type == FAULTY:
            apply(state, Submit((*op.jobs[:-1], NewJob("half-done"))), now)
            state.completed_total += 1_000
            raise RuntimeError("a bug")
        if isinstance(op, Claim) and op.worker_id == FAULTY:
            raise RuntimeError("a bug")
        return apply(state, op, now)

    monkeypatch.setattr(intake, "apply", half_done)


def events(t: Trace, *, faulty: bool) -> bytes:
    """The same requests with and without a faulty one among them; the last commit's bytes."""
    t.submit("a", "b")
    t.submit("c")
    t.claim()
    if faulty:
        t.submit("x", FAULTY, type_=FAULTY)
    t.submit("d")
    t.ok()
    return t.write.data


def test_fault_when_an_operation_breaks_off_then_it_alone_is_refused(lead: Start) -> None:
    t = lead()
    before = t.submit("a")
    faulty = t.submit("x", type_=FAULTY)
    after = t.submit("b")
    assert not t.waits(faulty), "it is told at once"
    assert type(t.refusal(faulty)).__name__ == "OsqueueError"
    assert any(notice.error and "a bug" in notice.message for notice in t.notices)
    t.ok()
    t.ok()
    assert t.outcome(before) == t.outcome(after) == Submitted(1)
    assert job_ids(t.data) == ["a", "b"]


def test_fault_when_a_commit_is_in_flight_then_bytes_are_as_without_it(lead: Start) -> None:
    sound, hurt = lead(), lead()
    assert events(sound, faulty=False) == events(hurt, faulty=True)


def test_fault_when_nothing_is_in_flight_then_bytes_are_as_without_it(start: Start) -> None:
    sound, hurt = start(), start()
    for t in (sound, hurt):
        t.ok()
        t.encode_us = 2_000
        t.submit("first")
        t.ok()
        t.submit("a")
        if t is hurt:
            t.submit("x", type_=FAULTY)
        t.submit("b")
        assert t.asks_for() == []
        t.runs(20)
    assert sound.write.data == hurt.write.data
    assert job_ids(hurt.write.data) == ["first", "a", "b"]


def test_fault_when_the_commit_before_it_was_edited_then_nothing_comes_back(lead: Start) -> None:
    t = lead()
    t.submit("a")
    t.submit("x", type_=FAULTY)
    later = t.submit("b")
    t.puts(edited(t.data, note=1))
    t.conflicts()
    t.reads()
    assert job_ids(t.write.data) == ["a", "b"]
    t.ok()
    assert t.outcome(later) == Submitted(1)


def test_fault_when_a_replayed_operation_fails_then_the_others_go_on(
    lead: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    t = lead()
    first, second, third = t.submit("a"), t.submit("b"), t.submit("c")

    def failing(state: QueueState, op: Op, now: Moment) -> Outcome:
        outcome = apply(state, op, now)
        if isinstance(op, Submit) and op.jobs[0].id == "b":
            raise RuntimeError("a bug")
        return outcome

    monkeypatch.setattr(intake, "apply", failing)
    t.puts(edited(t.data, note=1))
    t.conflicts()
    t.reads()
    assert job_ids(t.write.data) == ["a", "c"]
    t.ok()
    assert t.outcome(first) == t.outcome(third) == Submitted(1)
    assert "failed" in t.refusal(second).message


def test_fault_when_a_waiting_claim_fails_then_those_behind_it_go_on(lead: Start) -> None:
    t = lead()
    faulty = t.claim(worker=FAULTY, waits=True)
    assert "failed" in t.refusal(faulty).message
    served, *waiting = [t.claim(waits=True) for _ in range(3)]
    t.submit("a")
    t.ok()
    assert [grant.id for grant in t.grants(served)] == ["a"]
    assert all(t.waits(held) for held in waiting)


def test_fault_when_serving_a_waiter_fails_then_others_get_the_job(
    lead: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    t = lead()
    faulty = t.claim(worker="turns faulty", waits=True)
    waiting = [t.claim(waits=True) for _ in range(3)]

    def failing(state: QueueState, op: Op, now: Moment) -> Outcome:
        if isinstance(op, Claim) and op.worker_id == "turns faulty":
            raise RuntimeError("a bug")
        return apply(state, op, now)

    monkeypatch.setattr(intake, "apply", failing)
    t.submit("a")
    t.ok()
    assert "failed" in t.refusal(faulty).message
    assert [grant.id for grant in t.grants(waiting[0])] == ["a"]
    assert all(t.waits(held) for held in waiting[1:])


def test_fault_when_a_waited_claim_is_pending_then_it_gets_its_job_again(lead: Start) -> None:
    t = lead()
    t.submit("first")
    waiting = t.claim("t", waits=True)
    t.submit("a", type_="t")
    t.submit("x", type_=FAULTY)
    t.ok()
    t.ok()
    assert [grant.id for grant in t.grants(waiting)] == ["a"]
