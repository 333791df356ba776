from __future__ import annotations

import pytest
from msgspec import UNSET, Raw

from osqueue.config import LINEAGE_WRITERS_MAX, QueueLimits
from osqueue.model.job import Job
from osqueue.model.ops import LeaseRef, NewJob
from osqueue.model.outcomes import Counts
from osqueue.model.state import Header, QueueState, new_job_weight, same_job, weight_of

from .driver import Driver, job_json, state_json


def test_succeed_when_another_wrote_before_then_its_last_commit_is_recorded() -> None:
    header = Header(epoch=5, commit="5-8-x", broker="a:1", broker_id="A")
    header.succeed(6, broker="b:2", broker_id="B")
    assert header.lineage == {"5": "5-8-x"}
    assert (header.epoch, header.broker, header.broker_id) == (6, "b:2", "B")


@pytest.mark.parametrize("header", [Header(), Header(epoch=5), Header(commit="5-1-x")])
def test_succeed_when_no_writer_landed_before_then_nothing_is_recorded(header: Header) -> None:
    header.succeed(6, broker=None, broker_id=None)
    assert (header.lineage, header.epoch, header.broker) == ({}, 6, None)


def test_state_when_new_then_it_is_empty_and_open() -> None:
    state = QueueState(QueueLimits())
    assert state.totals() == Counts(0, 0, 0, 0, 0, 0, None)
    assert (state.header, state.paused, state.size, state.extra) == (Header(), False, 0, {})


def test_succeed_when_many_wrote_before_then_the_last_64_are_kept_in_order() -> None:
    header = Header()
    for epoch in range(100):
        header.succeed(epoch, broker=None, broker_id=None)
        header.commit = f"{epoch}-c"
    header.succeed(100, broker=None, broker_id=None)
    assert header.lineage == {str(epoch): f"{epoch}-c" for epoch in range(36, 100)}
    assert len(header.lineage) == LINEAGE_WRITERS_MAX


def test_succeed_when_a_writer_returns_then_its_entry_is_the_newest() -> None:
    header = Header(epoch=5, commit="5-2", lineage={"5": "5-1", "4": "4-1"})
    header.succeed(6, broker=None, broker_id=None)
    assert list(header.lineage.items()) == [("4", "4-1"), ("5", "5-2")]


def test_succeed_when_a_copy_holds_the_lineage_then_the_copy_keeps_it() -> None:
    lineage: dict[str, str] = {}
    header = Header(epoch=5, commit="5-2", lineage=lineage)
    header.succeed(6, broker=None, broker_id=None)
    assert lineage == {}


def test_size_when_jobs_come_and_go_then_it_is_that_of_those_left() -> None:
    queue = Driver()
    queue.submit("a", payload=Raw(b'"' + b"x" * 1_000 + b'"'))
    one = queue.state.size
    assert 1_000 < one < 2_000
    queue.submit("b")
    queue.claim()
    queue.fail("a", retry=False)
    assert queue.state.size > one
    queue.cancel("a")
    queue.cancel("b")
    assert queue.state.size == 0


def test_size_when_it_fails_again_and_again_then_as_many_failures_count_as_are_kept() -> None:
    queue = Driver()
    queue.submit("a", max_attempts=50)
    sizes = []
    for _ in range(9):
        queue.claim()
        queue.fail("a")
        sizes.append(queue.state.size)
    assert sizes[:5] == sorted(set(sizes[:5]))
    assert sizes[4:] == [sizes[4]] * 5


def test_new_job_weight_when_submitted_then_what_it_will_count() -> None:
    new = NewJob("a" * 10, "type", Raw(b"[1]"))
    job = Job(new.id, new.type, 1, new.payload)
    assert new_job_weight(new) == weight_of(job)
    assert new_job_weight(NewJob("a")) == weight_of(Job("a", "", 1, UNSET))


@pytest.mark.parametrize(
    ("new", "same"),
    [
        (NewJob("a", "t", Raw(b"[1]")), True),
        (NewJob("a", "t", Raw(b"[1]"), max_attempts=9, priority=5, run_at=7), True),
        (NewJob("a", "u", Raw(b"[1]")), False),
        (NewJob("a", "t", Raw(b"[2]")), False),
        (NewJob("a", "t", Raw(b"[1 ]")), False),
        (NewJob("a", "t"), False),
    ],
)
def test_same_job_when_type_and_payload_are_compared_then_nothing_else_counts(
    new: NewJob, *, same: bool
) -> None:
    assert same_job(Job("a", "t", 1, Raw(b"[1]")), new) is same


def test_same_job_when_neither_has_a_payload_then_the_same() -> None:
    assert same_job(Job("a", "t", 1, UNSET), NewJob("a", "t"))
    assert not same_job(Job("a", "t", 1, UNSET), NewJob("a", "t", Raw(b"null")))


def test_revision_when_nothing_must_be_durable_then_it_stands_still() -> None:
    queue = Driver()
    queue.submit("a", "b")
    (grant,) = queue.claim(claim_id="c")
    revision = queue.state.revision
    queue.submit("a")
    queue.submit("a", type="other")
    queue.claim(claim_id="c")
    queue.claim("none such")
    queue.heartbeat(LeaseRef("a", grant.lease), LeaseRef("b", "bogus"))
    queue.complete("b", "bogus")
    queue.expire()
    queue.cancel("none such")
    queue.retry("b")
    assert queue.state.revision == revision


def test_revision_when_something_must_be_durable_then_it_grows() -> None:
    queue = Driver()
    seen = [queue.state.revision]
    queue.submit("a", "b", max_attempts=1)
    seen.append(queue.state.revision)
    queue.claim(most=2)
    seen.append(queue.state.revision)
    queue.fail("a")
    seen.append(queue.state.revision)
    queue.retry("a")
    seen.append(queue.state.revision)
    queue.cancel("a")
    seen.append(queue.state.revision)
    queue.release("b")
    seen.append(queue.state.revision)
    assert seen == sorted(set(seen))


def test_renew_when_the_job_does_not_run_then_it_is_our_bug() -> None:
    queue = Driver()
    queue.submit("a")
    with pytest.raises(AssertionError, match="a is not running"):
        queue.state.renew(queue.state.jobs["a"], queue.now)


def test_renew_when_written_then_the_heartbeat_rides_along() -> None:
    queue = Driver()
    queue.submit("a")
    queue.claim()
    assert queue.job("a")["heartbeat"] == queue.now.wall
    queue.passes(700)
    queue.heartbeat(LeaseRef("a"))
    assert queue.job("a")["heartbeat"] == queue.now.wall


def test_promote_due_when_delays_end_then_jobs_become_ready() -> None:
    queue = Driver()
    queue.submit("late", run_at=queue.now.wall + 20)
    queue.submit("soon", run_at=queue.now.wall + 10)
    queue.state.promote_due(queue.now.wall + 9)
    assert queue.state.totals().delayed == 2
    queue.state.promote_due(queue.now.wall + 10)
    assert queue.state.totals().delayed == 1
    assert queue.claim_ids(most=9) == ["soon"]


def test_complete_when_jobs_end_then_the_total_counts_them_for_good() -> None:
    queue = Driver()
    queue.submit("a", "b", "c")
    queue.claim(most=2)
    queue.complete("a")
    queue.complete("b")
    queue.reload()
    assert queue.counts().completed_total == 2


def test_cancel_when_a_job_waits_for_its_time_then_nothing_waits_any_more() -> None:
    queue = Driver()
    queue.submit("a", run_at=queue.now.wall + 10)
    queue.submit("b")
    queue.cancel("a")
    assert queue.state.delayed.next_run_at() is None
    queue.cancel("b")
    assert not queue.state.ready.has(None)


def test_remember_lease_when_an_older_caller_has_none_then_nothing_is_kept() -> None:
    running = job_json(status="in_progress", attempts=1, workerId="w", heartbeat=5)
    queue = Driver(state_json(running))
    queue.release("a")
    assert queue.json["recent"] == []
    (grant,) = queue.claim()
    queue.release("a")
    assert [lease for _, _, _, lease, _ in queue.json["recent"]] == [grant.lease]


def test_release_when_an_older_job_never_counted_its_attempt_then_it_stays_at_none() -> None:
    queue = Driver(state_json(job_json(status="in_progress", workerId="w", heartbeat=5)))
    queue.release("a")
    assert queue.view("a").attempts == 0
