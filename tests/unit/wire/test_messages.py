"""What decodes is within its limits; what is sent leaves out what is not there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import UNSET, Raw

from osqueue.config import PRIORITY_MAX, TIME_MS_MAX
from osqueue.wire.messages import (
    ClaimRequest,
    FailRequest,
    HeartbeatBatchRequest,
    JobError,
    JobRef,
    LeaseRequest,
    SubmitRequest,
)


def decode(type_: Any, **fields: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(fields), type=type_)


@pytest.mark.parametrize("job_id", ["a", "A-Z.a_z~9", "...", ".a", "a.", "-", "x" * 128])
def test_job_id_when_it_can_stand_in_a_path_then_it_is_taken(job_id: str) -> None:
    assert decode(JobRef, jobId=job_id).job_id == job_id


@pytest.mark.parametrize(
    "job_id", ["", ".", "..", "a/b", "a b", "é", "a\n", "a?", "a%20", "a:b", "x" * 129, None, 5]
)
def test_job_id_when_it_cannot_then_it_is_refused(job_id: object) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.jobId"):
        decode(JobRef, jobId=job_id)


def test_submit_when_empty_then_the_defaults() -> None:
    assert decode(SubmitRequest) == SubmitRequest()
    assert decode(SubmitRequest).payload is UNSET


def test_submit_when_the_payload_is_null_then_it_is_there() -> None:
    assert bytes(decode(SubmitRequest, payload=None).payload) == b"null"


@pytest.mark.parametrize(
    ("field", "lowest", "highest"),
    [
        ("priority", -PRIORITY_MAX, PRIORITY_MAX),
        ("maxAttempts", 0, 2**31 - 1),
        ("runAt", 0, TIME_MS_MAX),
    ],
)
def test_number_when_at_a_limit_then_taken_and_beyond_it_refused(
    field: str, lowest: int, highest: int
) -> None:
    for value in (lowest, highest):
        decode(SubmitRequest, **{field: value})
    for value in (lowest - 1, highest + 1):
        with pytest.raises(msgspec.ValidationError, match=field):
            decode(SubmitRequest, **{field: value})


@pytest.mark.parametrize(
    ("type_", "field", "least", "most"),
    [
        (SubmitRequest, "type", 0, 256),
        (ClaimRequest, "workerId", 1, 256),
        (ClaimRequest, "claimId", 1, 256),
        (LeaseRequest, "lease", 1, 256),
    ],
)
def test_text_when_at_a_limit_then_taken_and_beyond_it_refused(
    type_: Any, field: str, least: int, most: int
) -> None:
    fields: dict[str, object] = {"workerId": "w"}
    for length in (least, most):
        decode(type_, **{**fields, field: "x" * length})
    for length in (least - 1, most + 1):
        if length >= 0:
            with pytest.raises(msgspec.ValidationError, match=field):
                decode(type_, **{**fields, field: "x" * length})


def test_list_when_it_has_a_thousand_then_taken_and_one_more_refused() -> None:
    for fields in ({"types": ["t"]}, {"jobs": [{"jobId": "j"}]}):
        (name,), (items,) = fields.keys(), fields.values()
        type_ = ClaimRequest if name == "types" else HeartbeatBatchRequest
        decode(type_, workerId="w", **{name: items * 1000})
        with pytest.raises(msgspec.ValidationError, match=name):
            decode(type_, workerId="w", **{name: items * 1001})


def test_request_when_it_has_unknown_fields_then_they_are_ignored() -> None:
    assert decode(LeaseRequest, workerId="w", colour="red", job={}) == LeaseRequest(worker_id="w")


def test_request_when_sent_then_defaults_are_left_out() -> None:
    assert msgspec.json.encode(SubmitRequest()) == b"{}"
    assert msgspec.json.encode(ClaimRequest(worker_id="w")) == b'{"workerId":"w"}'


def test_request_when_sent_and_read_then_it_is_the_same() -> None:
    request = SubmitRequest(payload=Raw(b"[1, 2]"), type="t", max_attempts=0, run_at=5)
    data = msgspec.json.encode(request)
    assert data == b'{"payload":[1, 2],"type":"t","maxAttempts":0,"runAt":5}'
    assert msgspec.json.encode(msgspec.json.decode(data, type=SubmitRequest)) == data


def test_error_when_its_texts_are_long_then_the_telling_ends_are_kept() -> None:
    error = JobError(type="E", message="head" + "m" * 9_000, traceback="t" * 9_000 + "tail")
    bounded = error.bounded()
    assert bounded.message.startswith("head")
    assert bounded.traceback is not None
    assert bounded.traceback.endswith("tail")
    assert len(bounded.message) == len(bounded.traceback) == 8_192


def test_error_when_its_texts_are_short_then_they_are_kept() -> None:
    error = JobError(type="E", message="m")
    assert error.bounded() == error


def test_fail_when_it_says_little_then_it_is_to_be_retried_by_the_policy_of_the_job() -> None:
    request = decode(FailRequest, workerId="w", error={"type": "E", "message": "m"})
    assert (request.retry, request.delay_ms, request.lease) == (True, None, None)


def test_error_when_its_worker_says_when_and_whose_then_that_is_not_taken() -> None:
    told = JobError(type="E", message="m", at=1, attempt=9, worker_id="other")
    assert told.bounded() == JobError(type="E", message="m")


@pytest.mark.parametrize(
    ("field", "least", "most", "beyond"),
    [
        ("baseMs", 0, TIME_MS_MAX, (-1, TIME_MS_MAX + 1)),
        ("factor", 1, 1_000, (0.99, 1_000.01)),
        ("maxMs", 0, TIME_MS_MAX, (-1, TIME_MS_MAX + 1)),
        ("jitter", 0, 1, (-0.01, 1.01)),
    ],
)
def test_retry_policy_when_at_a_limit_then_taken_and_beyond_it_refused(
    field: str, least: float, most: float, beyond: tuple[float, ...]
) -> None:
    for value in (least, most):
        decode(SubmitRequest, retry={field: value})
    for value in beyond:
        with pytest.raises(msgspec.ValidationError, match=field):
            decode(SubmitRequest, retry={field: value})


def test_progress_when_its_note_is_too_long_then_it_is_refused() -> None:
    ref = {"jobId": "j", "progress": {"done": 1, "note": "n" * 200}}
    decode(HeartbeatBatchRequest, workerId="w", jobs=[ref])
    ref["progress"] = {"done": 1, "note": "n" * 201}
    with pytest.raises(msgspec.ValidationError, match="note"):
        decode(HeartbeatBatchRequest, workerId="w", jobs=[ref])
