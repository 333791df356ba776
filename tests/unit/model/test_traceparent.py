"""Where a job comes from stays with it, whatever becomes of it, and costs nothing without."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import UNSET

from osqueue.model.codec import decode_finished, decode_job, encode_finished, encode_job
from osqueue.model.job import Job, JobStatus
from osqueue.model.ops import Drop, NewJob, Retry, Seal
from osqueue.model.outcomes import Done, Sealed
from osqueue.model.state import new_job_weight, weight_of

from .driver import Driver, job_json

ORIGIN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def submitted(**limits: Any) -> Driver:
    queue = Driver(**limits)
    queue.submit("a", traceparent=ORIGIN, max_attempts=1)
    return queue


def test_traceparent_when_a_job_is_claimed_then_it_is_handed_out() -> None:
    queue = submitted()
    assert queue.job("a")["traceparent"] == ORIGIN
    queue.reload()
    (grant,) = queue.claim()
    assert grant.traceparent == ORIGIN


def test_traceparent_when_a_job_has_none_then_nothing_is_written() -> None:
    queue = Driver()
    queue.submit("a")
    assert "traceparent" not in queue.job("a")
    assert queue.claim()[0].traceparent is None


def test_traceparent_when_a_dead_letter_is_queued_again_then_it_is_still_there() -> None:
    queue = submitted()
    queue.claim()
    queue.fail("a")
    assert queue.do(Retry("a")) == Done()
    assert queue.claim()[0].traceparent == ORIGIN


def test_traceparent_when_it_comes_back_from_the_archive_then_it_is_still_there() -> None:
    queue = submitted(archived=True, dead_max=0)
    queue.claim()
    queue.fail("a")
    batch = queue.do(Seal("t", 10, 2**20))
    assert isinstance(batch, Sealed)
    assert json.loads(batch.data)["traceparent"] == ORIGIN
    queue.do(Drop(batch.key))
    assert queue.do(Retry("a", batch.data.rstrip(b"\n"))) == Done()
    assert queue.claim()[0].traceparent == ORIGIN


def test_traceparent_when_a_finished_job_is_read_and_written_then_the_same() -> None:
    ended = JobStatus.COMPLETED
    job = Job("a", "", 1, UNSET, ended, traceparent=ORIGIN, ended_at=2)
    assert decode_finished(encode_finished(job)).traceparent == ORIGIN


def test_traceparent_when_it_is_long_then_it_counts_towards_the_bound() -> None:
    weights = [new_job_weight(NewJob("a", traceparent=origin)) for origin in (None, "x" * 256)]
    assert weights[1] - weights[0] == 256
    queue = submitted()
    assert queue.state.size == weight_of(queue.state.jobs["a"]) == weights[0] + len(ORIGIN)


@pytest.mark.parametrize("odd", [None, 5, ["x"], {}])
def test_traceparent_when_others_wrote_no_text_then_it_is_left_out(odd: object) -> None:
    job = decode_job(json.dumps(job_json(traceparent=odd, more=1)).encode())
    assert job.traceparent is None
    assert json.loads(encode_job(job)) == {**job_json(), "more": 1}
