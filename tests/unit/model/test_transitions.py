"""Every status against every operation: the moves of the table happen, all else is refused."""

from __future__ import annotations

import runpy
from collections.abc import Callable

import pytest

from osqueue.model import transitions
from osqueue.model.ops import LeaseRef
from osqueue.model.outcomes import Done, LeaseLost, NotFound, NotWaiting, Results
from osqueue.model.transitions import TRANSITIONS, Move, mermaid

from .driver import Driver, ended_json, state_json

JOB = "a"
LEASE_MS = 30_000


def absent(_queue: Driver) -> None:
    """There never was such a job."""


def unclaimed(queue: Driver) -> None:
    queue.submit(JOB)


def delayed(queue: Driver) -> None:
    queue.submit(JOB, run_at=queue.now.wall + 600_000)


def in_progress(queue: Driver) -> None:
    queue.submit(JOB)
    queue.claim(worker="w")


def last_attempt(queue: Driver) -> None:
    queue.submit(JOB, max_attempts=1)
    queue.claim(worker="w")


def dead(queue: Driver) -> None:
    in_progress(queue)
    queue.fail(JOB, retry=False)


def completed(queue: Driver) -> None:
    in_progress(queue)
    queue.complete(JOB)


def cancelled(queue: Driver) -> None:
    in_progress(queue)
    queue.cancel(JOB)


def discarded(queue: Driver) -> None:
    dead(queue)
    queue.cancel(JOB)


def expired(queue: Driver) -> None:
    queue.open(state_json(finished=[ended_json(id=JOB, status="expired")]))


STATUSES: dict[str, Callable[[Driver], None]] = {
    "absent": absent,
    "unclaimed": unclaimed,
    "delayed": delayed,
    "in_progress": in_progress,
    "last_attempt": last_attempt,
    "dead": dead,
    "completed": completed,
    "cancelled": cancelled,
    "discarded": discarded,
    "expired": expired,
}


def expire_late(queue: Driver) -> object:
    queue.passes(LEASE_MS)
    return queue.expire()


OPERATIONS: dict[str, Callable[[Driver], object]] = {
    "claim": lambda queue: queue.claim(worker="w2"),
    "heartbeat": lambda queue: queue.heartbeat(LeaseRef(JOB)),
    "complete": lambda queue: queue.complete(JOB),
    "release": lambda queue: queue.release(JOB),
    "fail": lambda queue: queue.fail(JOB),
    "fail for good": lambda queue: queue.fail(JOB, retry=False),
    "expire": expire_late,
    "cancel": lambda queue: queue.cancel(JOB),
    "retry": lambda queue: queue.retry(JOB),
    "set priority": lambda queue: queue.set_priority(JOB, 7),
}

LEGAL = {
    ("unclaimed", "claim"): "in_progress",
    ("unclaimed", "cancel"): "cancelled",
    ("delayed", "cancel"): "cancelled",
    ("unclaimed", "set priority"): "unclaimed",
    ("delayed", "set priority"): "unclaimed",
    ("in_progress", "heartbeat"): "in_progress",
    ("in_progress", "complete"): "completed",
    ("in_progress", "release"): "unclaimed",
    ("in_progress", "fail"): "unclaimed",
    ("in_progress", "fail for good"): "dead",
    ("in_progress", "expire"): "unclaimed",
    ("in_progress", "cancel"): "cancelled",
    ("last_attempt", "heartbeat"): "in_progress",
    ("last_attempt", "complete"): "completed",
    ("last_attempt", "release"): "unclaimed",
    ("last_attempt", "fail"): "dead",
    ("last_attempt", "fail for good"): "dead",
    ("last_attempt", "expire"): "dead",
    ("last_attempt", "cancel"): "cancelled",
    ("dead", "cancel"): "discarded",
    ("dead", "retry"): "unclaimed",
}

ENDED = {"completed", "cancelled", "discarded", "expired"}


def not_waiting(status: str) -> object:
    """What is answered when a job's priority cannot be set."""
    is_now = "in_progress" if status == "last_attempt" else status
    return NotFound(JOB) if status == "absent" else NotWaiting(JOB, is_now)


def refusal(status: str, op: str) -> object:
    """What an operation answers that is not for a job of this status."""
    missing = NotFound(JOB, status if status in ENDED else None)
    if op == "claim":
        return ()
    if op == "set priority":
        return not_waiting(status)
    if op == "cancel":
        return Done() if status in {"cancelled", "discarded"} else missing
    if (status == "absent" or status in ENDED) and op != "expire":
        return Results((missing,)) if op == "heartbeat" else missing
    if op in {"retry", "expire"}:
        return Done()
    return Results((LeaseLost(JOB),)) if op == "heartbeat" else LeaseLost(JOB)


@pytest.mark.parametrize(("status", "op"), LEGAL)
def test_operation_when_the_table_has_it_then_the_job_moves(status: str, op: str) -> None:
    queue = Driver()
    STATUSES[status](queue)
    before = queue.state.revision
    OPERATIONS[op](queue)
    assert queue.view(JOB).status == LEGAL[status, op]
    assert (queue.state.revision > before) is (op != "heartbeat")


@pytest.mark.parametrize(
    ("status", "op"),
    [(status, op) for status in STATUSES for op in OPERATIONS if (status, op) not in LEGAL],
)
def test_operation_when_the_table_has_it_not_then_it_is_refused_and_nothing_changes(
    status: str, op: str
) -> None:
    queue = Driver()
    STATUSES[status](queue)
    before, revision = queue.encoded, queue.state.revision
    assert OPERATIONS[op](queue) == refusal(status, op)
    assert queue.encoded == before
    assert queue.state.revision == revision


def test_table_when_compared_with_the_moves_seen_then_each_is_there_and_no_other() -> None:
    moves = {
        "claim": Move.CLAIM,
        "heartbeat": Move.RENEW,
        "complete": Move.COMPLETE,
        "release": Move.RELEASE,
        "retry": Move.REVIVE,
        "set priority": Move.REORDER,
    }
    by_target = {"unclaimed": Move.REQUEUE, "dead": Move.BURY}
    by_target |= {"cancelled": Move.CANCEL, "discarded": Move.DISCARD}
    names = {"delayed": "unclaimed", "last_attempt": "in_progress"}
    seen = {
        (names.get(status, status), moves.get(op, by_target.get(target)), target)
        for (status, op), target in LEGAL.items()
    }
    assert seen == {(source, move, target) for (source, move), target in TRANSITIONS.items()}


def test_table_when_written_to_then_it_refuses() -> None:
    with pytest.raises(TypeError):
        TRANSITIONS["dead", "claim"] = "in_progress"  # type: ignore[index]


def test_mermaid_when_drawn_then_it_has_each_move_and_each_end() -> None:
    lines = mermaid().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> unclaimed: submit"]
    for (source, move), target in TRANSITIONS.items():
        assert f"    {source} --> {target}: {move}" in lines
    ends = [f"    {end} --> [*]" for end in ("cancelled", "completed", "discarded")]
    assert lines[-3:] == ends
    assert len(lines) == 2 + len(TRANSITIONS) + 3


def test_module_when_run_then_it_prints_the_diagram(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(transitions.__file__, run_name="__main__")
    assert capsys.readouterr().out == mermaid() + "\n"
