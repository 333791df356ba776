"""Each law, broken by hand, is found by its name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import UNSET

from osqueue.model.invariants import check
from osqueue.model.job import Job, JobStatus
from osqueue.model.ops import NewJob
from osqueue.model.state import QueueState, new_job_weight

from .driver import START, Driver


def busy_state() -> QueueState:
    """Ready: ``r1``, ``r2``; held: ``h1``, ``h2``; delayed: ``d``; dead: ``x``; ended: ``e``."""
    queue = Driver()
    queue.submit("h1", "h2", "x", "e", type="t")
    queue.claim("t", most=4)
    queue.fail("x", retry=False)
    queue.complete("e")
    queue.submit("r1", "r2")
    queue.submit("d", run_at=queue.now.wall + 50)
    return queue.state


def resurrect(state: QueueState) -> None:
    state.submit([NewJob("e")], new_job_weight(NewJob("e")), START)


def lose_job(state: QueueState) -> None:
    del state.jobs["r1"]


def miscount(state: QueueState) -> None:
    state.counts[JobStatus.DEAD] += 1


def misweigh(state: QueueState) -> None:
    state.size += 1


def swap_order(state: QueueState) -> None:
    one, other = state.jobs["r1"], state.jobs["r2"]
    one.seq, other.seq = other.seq, one.seq


def undelay(state: QueueState) -> None:
    state.jobs["d"].run_at = None


def lose_ready(state: QueueState) -> None:
    state.ready.pop(None)


def mistype(state: QueueState) -> None:
    state.jobs["r1"].type = "other"
    state.size += len("other")


def lose_lease(state: QueueState) -> None:
    state.leases.remove(state.jobs["h1"])


def misdate(state: QueueState) -> None:
    for job_id in ("h1", "h2"):
        state.jobs[job_id].deadline -= 5


def share_lease(state: QueueState) -> None:
    state.leases.remove(state.jobs["h2"])
    state.jobs["h2"].lease = state.jobs["h1"].lease
    state.leases.add(state.jobs["h2"])


def hold_ready(state: QueueState) -> None:
    state.jobs["r1"].worker_id = "w"


def lease_ready(state: QueueState) -> None:
    state.jobs["r1"].lease = "l"


def delay_running(state: QueueState) -> None:
    state.jobs["h1"].run_at = 5


def uncount_attempts(state: QueueState) -> None:
    state.jobs["r1"].attempts = -1


def lose_payload(state: QueueState) -> None:
    state.jobs["r1"].payload, state.jobs["r1"].encoded = None, b""
    state.jobs["r1"].stale = True


def end_queued(state: QueueState) -> None:
    state.counts[JobStatus.DEAD] -= 1
    state.counts[JobStatus.COMPLETED] = 1
    state.jobs["x"].status = JobStatus.COMPLETED


def unend(state: QueueState) -> None:
    next(iter(state.ends.finished)).ended_at = None


def lose_end(state: QueueState) -> None:
    state.ends._finished_by_id["e"] = Job("e", "", 1, UNSET)


def miscount_running(state: QueueState) -> None:
    state.leases.types["t"] += 1


def miscount_dead(state: QueueState) -> None:
    del state.dead_types["t"]


@pytest.mark.parametrize(
    ("damage", "law"),
    [
        (lose_job, "jobs by id"),
        (swap_order, "order of arrival"),
        (miscount, "counts"),
        (misweigh, "size"),
        (undelay, "delayed"),
        (lose_ready, "ready: "),
        (mistype, "ready of type"),
        (lose_lease, "leases: "),
        (misdate, "next deadline"),
        (share_lease, "leases are unique"),
        (miscount_running, "running by type"),
        (miscount_dead, "dead by type"),
        (hold_ready, "r1 is held"),
        (lease_ready, "r1 is held"),
        (delay_running, "h1 runs and is delayed"),
        (uncount_attempts, "r1 has -1 attempts"),
        (lose_payload, "r1 lost its data"),
        (end_queued, "x has ended"),
        (unend, "finished: e"),
        (lose_end, "finished by id: e"),
        (resurrect, "e is finished and lives on"),
    ],
)
def test_check_when_a_law_is_broken_then_it_is_named(
    damage: Callable[[QueueState], None], law: str
) -> None:
    state = busy_state()
    damage(state)
    with pytest.raises(AssertionError, match=law):
        check(state)


def test_check_when_all_laws_hold_then_silent() -> None:
    check(busy_state())
