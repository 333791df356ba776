from __future__ import annotations

import pytest

from osqueue.broker.waiting import WaitingClaims
from osqueue.config import CommitSettings, QueueLimits
from osqueue.engine import intake as module
from osqueue.engine.intake import Cut, Intake, read_state
from osqueue.engine.requests import Held
from osqueue.errors import CorruptStateError, OsqueueError, OverloadedError
from osqueue.model.apply import apply
from osqueue.model.invariants import check
from osqueue.model.job import Moment
from osqueue.model.ops import Claim, GetStats, Heartbeat, LeaseRef, NewJob, Op, Submit
from osqueue.model.outcomes import Claimed, Outcome, Submitted
from osqueue.model.snapshot import encode_state
from osqueue.model.state import QueueState
from osqueue.model.tally import Tally

from .conftest import submit

AT = Moment(1_000, 50)


class Desk:
    """An intake, and requests in one line."""

    def __init__(self, data: bytes | None = None, **settings: int) -> None:
        state = read_state(data, QueueLimits(), moment=AT, generation="g")
        self.intake = Intake(
            state, data, waiting=WaitingClaims(), settings=CommitSettings(**settings)
        )

    def ask(self, op: Op, *, waits: bool = False, size: int = 0) -> Held:
        held = Held(op=op, at=AT, waits=waits, size=size)
        self.intake.apply(held)
        check(self.intake.state)
        return held

    def claim(self, seed: str, *, waits: bool = False) -> Held:
        return self.ask(Claim("w", seed), waits=waits)

    def serve(self) -> None:
        self.intake.serve_waiting(AT, 7)

    def fixed(self) -> bytes:
        """A commit's bytes are fixed; what comes now builds on them."""
        data = encode_state(self.intake.state)
        self.intake.cut(data)
        return data

    @property
    def jobs(self) -> list[str]:
        return list(self.intake.state.jobs)


def test_apply_when_it_changes_something_then_it_needs_a_commit() -> None:
    desk = Desk()
    held = desk.ask(submit("a"))
    assert held.outcome == Submitted(1)
    assert (held.writes, desk.intake.dirty, desk.intake.pending) == (True, True, [held])
    assert desk.intake.answers == []


def test_apply_when_it_changes_nothing_then_it_needs_none() -> None:
    desk = Desk()
    held = desk.ask(GetStats())
    assert (held.writes, desk.intake.dirty, desk.intake.pending) == (False, False, [held])


def test_apply_when_a_read_follows_a_change_then_only_the_change_is_one() -> None:
    desk = Desk()
    changes, reads = desk.ask(submit("a")), desk.ask(GetStats())
    assert (changes.writes, reads.writes, desk.intake.dirty) == (True, False, True)


def test_apply_when_a_claim_finds_nothing_then_it_waits_if_it_wants_to() -> None:
    desk = Desk()
    waiting, empty = desk.claim("s1", waits=True), desk.claim("s2")
    assert len(desk.intake.waiting) == 1
    assert desk.intake.pending == [empty]
    assert waiting.writes is False


def test_serve_when_a_job_is_there_then_the_waiting_claim_is_applied_at_that_moment() -> None:
    desk = Desk()
    waiting = desk.claim("s", waits=True)
    job = desk.ask(submit("a"))
    desk.serve()
    assert desk.intake.pending == [job, waiting]
    assert (waiting.waited, waiting.writes, waiting.arrived) == (True, True, 7)


def test_serve_when_the_queue_is_paused_then_nobody_is_served() -> None:
    desk = Desk()
    desk.claim("s", waits=True)
    desk.ask(submit("a"))
    desk.intake.state.paused = True
    desk.serve()
    assert len(desk.intake.waiting) == 1


def test_cut_when_something_is_pending_then_it_is_handed_over_and_nothing_is_left() -> None:
    desk = Desk()
    held = desk.ask(submit("a"), size=10)
    data = encode_state(desk.intake.state)
    assert desk.intake.cut(data) == Cut([held], 1, None, Tally(submitted=1, waiting=1))
    assert desk.intake.state.tally == Tally()
    assert (desk.intake.pending, desk.intake.dirty, desk.intake.fixed) == ([], False, data)
    assert desk.intake.overload(Held(op=GetStats(), size=64 * 1024 * 1024), 0) is None


def test_overload_when_bounds_are_met_then_the_next_one_is_too_much() -> None:
    desk = Desk(pending_ops_max=3, pending_bytes_max=100)
    desk.ask(submit("a"), size=60)
    assert desk.intake.overload(Held(op=GetStats(), size=40), 1) is None
    assert isinstance(desk.intake.overload(Held(op=GetStats(), size=41), 1), OverloadedError)
    assert isinstance(desk.intake.overload(Held(op=GetStats()), 2), OverloadedError)


def test_answer_when_given_twice_then_the_first_stands() -> None:
    desk = Desk()
    held = desk.ask(submit("a"))
    desk.intake.answer(held, (1, 2))
    desk.intake.answer(held, (1, 3))
    desk.intake.refuse(held, OsqueueError("late"))
    assert desk.intake.answers == [held]
    assert (held.position, held.error) == ((1, 2), None)


def test_refuse_when_given_twice_then_the_first_stands() -> None:
    desk = Desk()
    held = desk.ask(submit("a"))
    desk.intake.refuse_all([held, held], OsqueueError("first"))
    desk.intake.answer(held, (1, 2))
    assert desk.intake.answers == [held]
    assert (str(held.error), held.outcome, held.position) == ("first", None, None)


def test_let_go_when_requests_were_answered_then_only_what_changed_something_stays() -> None:
    desk = Desk(pending_bytes_max=100)
    changes = desk.ask(submit("a"), size=10)
    refused = desk.ask(submit("a"), size=90)
    reads = desk.ask(GetStats())
    desk.intake.refuse_all([changes, refused], OsqueueError("too late"))
    desk.intake.let_go()
    assert desk.intake.pending == [changes, reads]
    assert desk.intake.overload(Held(op=GetStats(), size=90), 0) is None


# Rebuilding


def test_rebuild_when_requests_are_pending_then_they_are_applied_again_in_order() -> None:
    desk = Desk()
    data = desk.fixed()
    held = [desk.ask(submit("b")), desk.ask(GetStats()), desk.ask(submit("a"), size=5)]
    desk.intake.rebuild(data, desk.intake.pending, Moment(2_000, 60))
    assert desk.jobs == ["b", "a"]
    assert desk.intake.pending == held
    assert desk.intake.dirty
    check(desk.intake.state)


def test_rebuild_when_all_of_it_is_in_the_bytes_then_nothing_needs_a_commit() -> None:
    desk = Desk()
    desk.ask(submit("a"))
    data = desk.fixed()
    desk.intake.rebuild(data, desk.intake.pending, AT)
    assert (desk.jobs, desk.intake.dirty) == (["a"], False)


def test_rebuild_when_there_are_no_bytes_then_it_begins_empty() -> None:
    desk = Desk()
    held = desk.ask(submit("a"))
    desk.intake.rebuild(None, [held], AT)
    assert desk.jobs == ["a"]


def test_rebuild_when_bytes_are_corrupt_then_nothing_has_changed() -> None:
    desk = Desk()
    held = desk.ask(submit("a"))
    state = desk.intake.state
    with pytest.raises(CorruptStateError):
        desk.intake.rebuild(b"{", [], AT)
    assert desk.intake.state is state
    assert desk.intake.pending == [held]
    assert desk.intake.dirty


def test_rebuild_when_a_claim_had_waited_then_it_waits_as_if_never_served() -> None:
    desk = Desk()
    data = desk.fixed()
    waiting = desk.claim("s", waits=True)
    job = desk.ask(submit("a"))
    desk.serve()
    desk.intake.rebuild(data, desk.intake.pending, AT)
    assert desk.intake.pending == [job]
    assert len(desk.intake.waiting) == 1
    assert (waiting.outcome, waiting.waited, waiting.writes) == (None, False, False)
    desk.serve()
    assert isinstance(waiting.outcome, Claimed)
    assert waiting.outcome.grants


def test_rebuild_when_callers_were_answered_then_only_claims_are_left_out() -> None:
    desk = Desk()
    data = desk.fixed()
    job, claim, reads = desk.ask(submit("a")), desk.claim("s"), desk.ask(GetStats())
    desk.intake.refuse_all([job, claim, reads], OsqueueError("too late"))
    desk.intake.rebuild(data, desk.intake.pending, AT)
    assert desk.intake.pending == [job]
    assert desk.intake.state.leases.live == 0


def test_rebuild_when_it_is_done_then_cursors_of_before_mean_nothing() -> None:
    desk = Desk()
    before = desk.intake.state.generation
    desk.intake.rebuild(None, [], AT)
    after = desk.intake.state.generation
    desk.intake.rebuild(None, [], AT)
    assert len({before, after, desk.intake.state.generation}) == 3


def test_rebuild_when_a_lease_is_granted_or_renewed_again_then_it_is_as_new_as_all_others() -> None:
    desk = Desk()
    desk.ask(submit("a", "b"))
    desk.claim("s1")
    data = desk.fixed()
    desk.claim("s2")
    desk.ask(Heartbeat("w", (LeaseRef("a", "s1-0"),)))
    desk.intake.rebuild(data, desk.intake.pending, Moment(9_000, 1_050))
    deadlines = {job.deadline for job in desk.intake.state.jobs.values()}
    assert deadlines == {1_050 + QueueLimits().lease_timeout_ms}
    check(desk.intake.state)


# An operation that fails inside


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Submitting "x" fails halfway."""

    def failing(state: QueueState, op: Op, now: Moment) -> Outcome:
        outcome = apply(state, op, now)
        if isinstance(op, Submit) and op.jobs == (NewJob("x"),):
            raise RuntimeError("a bug")
        return outcome

    monkeypatch.setattr(module, "apply", failing)


@pytest.mark.usefixtures("faulty")
def test_fault_when_an_operation_fails_then_only_it_is_refused_and_leaves_no_trace() -> None:
    desk = Desk()
    desk.ask(submit("a"))
    data = desk.fixed()
    pending = desk.ask(submit("b"))
    failed = desk.ask(submit("x"))
    assert desk.jobs == ["a", "b"]
    assert desk.intake.pending == [pending]
    assert desk.intake.answers == [failed]
    assert failed.error is not None
    assert failed.error.applied is None
    (notice,) = desk.intake.notices
    assert notice.error
    assert "Submit" in notice.message
    assert desk.intake.fixed == data


@pytest.mark.usefixtures("faulty")
def test_fault_when_nothing_was_fixed_before_then_it_begins_empty() -> None:
    desk = Desk()
    desk.ask(submit("x"))
    assert (desk.jobs, desk.intake.dirty, desk.intake.pending) == ([], False, [])


@pytest.mark.usefixtures("faulty")
def test_fault_when_the_engines_own_fails_then_it_is_dropped_and_nobody_is_answered() -> None:
    desk = Desk()
    pending = desk.ask(submit("a"))
    desk.intake.own(submit("x"), AT)
    assert (desk.jobs, desk.intake.pending, desk.intake.answers) == (["a"], [pending], [])
