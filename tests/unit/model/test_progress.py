"""How far workers are: kept while the lease is, told with what comes next."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from osqueue.model.events import Event, EventKind
from osqueue.model.ops import LeaseRef
from osqueue.model.outcomes import Done, Grant, LeaseLost

from .driver import Driver

HALF = Raw(b'{"done":1.0,"total":2.0}')
MORE = Raw(b'{"done":2.0,"note":"nearly"}')


def running(queue: Driver, job_id: str = "a") -> Grant:
    queue.submit(job_id)
    (grant,) = queue.claim()
    return grant


def told(queue: Driver, grant: Grant, progress: Raw | None) -> object:
    results = queue.heartbeat(LeaseRef(grant.id, grant.lease), progress=(progress,))
    return results.each[0]


def test_progress_when_told_then_shown_and_written_with_what_comes_next_and_causes_nothing() -> (
    None
):
    queue = Driver()
    grant = running(queue)
    before = queue.state.revision
    assert told(queue, grant, HALF) == Done()
    assert queue.state.revision == before
    assert queue.view("a").progress == HALF
    assert queue.job("a")["progress"] == {"done": 1.0, "total": 2.0}
    queue.reload()
    assert queue.view("a").progress == HALF


def test_progress_when_a_heartbeat_says_nothing_of_it_then_it_stays() -> None:
    queue = Driver()
    grant = running(queue)
    told(queue, grant, HALF)
    told(queue, grant, None)
    queue.heartbeat(LeaseRef("a", grant.lease))
    assert queue.view("a").progress == HALF


def test_progress_when_the_lease_is_stale_then_it_is_not_taken() -> None:
    queue = Driver()
    old = running(queue)
    queue.release("a", old.lease)
    queue.claim()
    assert told(queue, old, HALF) == LeaseLost("a")
    assert queue.view("a").progress is None


@pytest.mark.parametrize("end", ["complete", "fail", "bury", "release", "cancel", "expire"])
def test_progress_when_the_lease_ends_then_it_is_gone_and_its_weight_too(end: str) -> None:
    queue = Driver()
    grant = running(queue)
    told(queue, grant, HALF)
    match end:
        case "complete":
            queue.complete("a", grant.lease)
        case "fail":
            queue.fail("a", grant.lease)
        case "bury":
            queue.fail("a", grant.lease, retry=False)
        case "release":
            queue.release("a", grant.lease)
        case "cancel":
            queue.cancel("a")
        case "expire":
            queue.passes(queue.limits.lease_timeout_ms)
            queue.expire()
    assert queue.view("a").progress is None
    assert b"progress" not in queue.encoded


def test_progress_when_it_shrinks_and_grows_then_the_weight_follows() -> None:
    queue = Driver()
    grant = running(queue)
    empty = queue.state.size
    for progress in (HALF, MORE, HALF):
        told(queue, grant, progress)
        assert queue.state.size == empty + len(progress)


def test_progress_when_shared_then_it_is_written_with_a_renewal_that_is() -> None:
    queue = Driver(renewal_written_ms=10_000)
    grant = running(queue)
    before = queue.state.revision
    queue.passes(1_000)
    told(queue, grant, HALF)
    assert queue.state.revision == before
    assert queue.job("a")["progress"] == json.loads(bytes(HALF))
    queue.passes(9_000)
    told(queue, grant, MORE)
    assert queue.state.revision == before + 1


def test_progress_when_somebody_listens_then_the_newest_of_each_job_comes_last() -> None:
    queue = Driver()
    queue.state.record(whole=True)
    first, second = running(queue, "a"), running(queue, "b")
    told(queue, first, HALF)
    told(queue, first, MORE)
    told(queue, second, HALF)
    queue.submit("c")
    assert queue.state.events is not None
    events = queue.state.events.cut()
    assert events is not None
    assert [(event.kind, event.job_id) for event in events][-3:] == [
        (EventKind.SUBMITTED, "c"),
        (EventKind.PROGRESS, "a"),
        (EventKind.PROGRESS, "b"),
    ]
    assert events[-2] == Event(EventKind.PROGRESS, "a", "", queue.now.wall, "w", 1, MORE)
    assert queue.state.events.cut() == ()


def test_progress_when_the_lease_ends_in_the_same_commit_then_nothing_is_told_of_it() -> None:
    queue = Driver()
    queue.state.record(whole=True)
    grant = running(queue)
    told(queue, grant, HALF)
    queue.complete("a", grant.lease)
    assert queue.state.events is not None
    kinds = [event.kind for event in queue.state.events.cut() or ()]
    assert kinds == [EventKind.SUBMITTED, EventKind.CLAIMED, EventKind.COMPLETED]
