from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec import UNSET, Raw

from osqueue.client import Job, NewJob
from osqueue.client.requests import (
    by_size,
    chunks,
    complete_refs,
    heartbeat_refs,
    jobs_of,
    only_worker,
    submit_request,
    submit_requests,
)
from osqueue.errors import BrokerProtocolError, PayloadValidationError
from osqueue.jobs import Registry
from osqueue.wire.messages import CompleteRef, HeartbeatRef, Progress, SubmitRequest


def _request(new: NewJob) -> SubmitRequest:
    return submit_request(new, fresh_id="fresh", now_ms=5_000)


def _job(job_id: str, worker_id: str = "w") -> Job:
    return Job(
        job_id=job_id,
        type="t",
        raw_payload=b"1",
        worker_id=worker_id,
        lease=f"lease-{job_id}",
        attempt=1,
        max_attempts=3,
        created_at=0,
    )


def _sized(*sizes: int) -> list[SubmitRequest]:
    return [SubmitRequest(payload=Raw(b"1" * size)) for size in sizes]


def test_submit_request_without_an_id_takes_the_fresh_one() -> None:
    assert _request(NewJob("t")).job_id == "fresh"


def test_submit_request_with_all_options_carries_them() -> None:
    job = NewJob("t", [1], job_id="mine", max_attempts=7, priority=-2, run_at=99)

    request = _request(job)

    assert (request.type, request.job_id, request.max_attempts) == ("t", "mine", 7)
    assert (request.priority, request.run_at, request.payload) == (-2, 99, Raw(b"[1]"))


def test_submit_request_with_an_empty_type_has_no_type() -> None:
    assert _request(NewJob("")).type is None


def test_submit_request_with_a_delay_runs_that_much_from_now() -> None:
    assert _request(NewJob("t", delay_ms=250)).run_at == 5_250


@pytest.mark.parametrize(
    "zone", [UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-5, minutes=-30))]
)
def test_submit_request_with_a_datetime_runs_at_that_moment(zone: timezone) -> None:
    moment = datetime(2026, 3, 4, 5, 6, 7, 89_999, tzinfo=UTC)

    assert _request(NewJob("t", run_at=moment.astimezone(zone))).run_at == 1_772_600_767_089


def test_submit_request_with_a_naive_datetime_is_refused() -> None:
    with pytest.raises(BrokerProtocolError, match="time zone"):
        _request(NewJob("t", run_at=datetime(2026, 3, 4)))  # noqa: DTZ001 - the point


def test_submit_request_with_both_run_at_and_delay_is_refused() -> None:
    with pytest.raises(BrokerProtocolError, match="exclude"):
        _request(NewJob("t", run_at=1, delay_ms=1))


def test_by_size_of_many_jobs_splits_at_a_thousand() -> None:
    assert [len(batch) for batch in by_size(_sized(*[1] * 2_500), 10**6)] == [1_000, 1_000, 500]


def test_by_size_of_large_payloads_splits_by_bytes_and_lets_the_largest_go_alone() -> None:
    batches = list(by_size(_sized(60, 50, 40, 300, 5), 100 + 2 * 256))

    sizes = [
        [len(bytes(each.payload)) for each in batch if isinstance(each.payload, Raw)]
        for batch in batches
    ]
    assert sizes == [[60], [50, 40], [300], [5]]


def test_by_size_of_nothing_makes_no_batch() -> None:
    assert list(by_size([], 100)) == []


def test_chunks_of_many_items_keep_them_all_in_order() -> None:
    parts = list(chunks(range(2_001)))

    assert [len(part) for part in parts] == [1_000, 1_000, 1]
    assert [item for part in parts for item in part] == list(range(2_001))


def test_heartbeat_refs_name_job_and_lease_and_the_progress_of_that_lease() -> None:
    told = {"lease-b": Progress(done=1, total=2), "lease-old": Progress(done=2)}
    assert heartbeat_refs([_job("a"), _job("b")], told) == [
        HeartbeatRef(job_id="a", lease="lease-a"),
        HeartbeatRef(job_id="b", lease="lease-b", progress=Progress(done=1, total=2)),
    ]


def test_complete_refs_without_results_name_job_and_lease() -> None:
    assert complete_refs([_job("a")], None) == [CompleteRef(job_id="a", lease="lease-a")]


def test_complete_refs_with_results_bring_each_its_own_and_unset_is_none() -> None:
    refs = complete_refs([_job("a"), _job("b"), _job("c")], [None, UNSET, Raw(b"[1]")])
    assert [ref.result for ref in refs] == [Raw(b"null"), UNSET, Raw(b"[1]")]


def test_complete_refs_with_too_few_results_are_refused() -> None:
    with pytest.raises(BrokerProtocolError, match="1 results of 2 jobs"):
        complete_refs([_job("a"), _job("b")], [1])


def test_complete_refs_with_a_result_that_is_no_json_are_refused() -> None:
    with pytest.raises(PayloadValidationError, match="the result cannot be kept"):
        complete_refs([_job("a")], [float("nan")])


def test_only_worker_of_one_workers_jobs_is_that_worker() -> None:
    assert only_worker([_job("a", "w1"), _job("b", "w1")]) == "w1"


def test_only_worker_of_two_workers_jobs_is_refused() -> None:
    with pytest.raises(BrokerProtocolError, match="one worker"):
        only_worker([_job("a", "w1"), _job("b", "w2")])


class Handle:
    """Names a job, as what is made of a submit does."""

    job_id = "handled"


def test_submit_request_after_others_names_them_by_whatever_they_are_given_by() -> None:
    known = NewJob("t", job_id="mine")
    assert _request(NewJob("t", after=["a", Handle(), known])).after == ["a", "handled", "mine"]
    assert _request(NewJob("t")).after == []


@pytest.mark.parametrize("after", ["a", [NewJob("t")], [None], [7]])
def test_submit_request_after_what_names_no_job_is_refused(after: Any) -> None:
    with pytest.raises(BrokerProtocolError, match="after"):
        _request(NewJob("t", after=after))


@pytest.mark.parametrize("types", [None, Registry({"a": Any, "b": dict})])
def test_submit_requests_after_jobs_of_the_same_batch_take_their_ids(
    types: Registry | None,
) -> None:
    first, second = NewJob("a", {}), NewJob("b", {}, job_id="mine")
    third = NewJob("b", {}, after=[first, second, "other"])
    made = jobs_of(types, jobs_of(types, [first, second, third]))

    requests = submit_requests(made, fresh_ids=["f1", "f2", "f3"], now_ms=0)

    assert [each.job_id for each in requests] == ["f1", "mine", "f3"]
    assert requests[2].after == ["f1", "mine", "other"]


def test_submit_requests_after_a_later_job_are_refused() -> None:
    later = NewJob("a")
    made = jobs_of(None, [NewJob("b", after=[later]), later])
    with pytest.raises(BrokerProtocolError, match="first in the same submit_jobs"):
        submit_requests(made, fresh_ids=["f1", "f2"], now_ms=0)


def test_batches_of_jobs_after_many_count_their_names() -> None:
    many = SubmitRequest(after=["x" * 100] * 100)
    assert len(list(by_size([many, many], 15_000))) == 2
