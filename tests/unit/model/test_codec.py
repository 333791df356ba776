from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
from msgspec import UNSET, Raw

from osqueue.errors import CorruptStateError
from osqueue.model.codec import (
    decode_finished,
    decode_job,
    decode_recent,
    encode_finished,
    encode_job,
    encode_recent,
)
from osqueue.model.ends import End
from osqueue.model.job import Job, JobStatus, payload_of

from .driver import Driver, ended_json, job_json, noted, state_json


def decoded(**fields: Any) -> Job:
    return decode_job(json.dumps(job_json(**fields)).encode())


def rewritten(text: bytes) -> bytes:
    """A job's JSON after it was read and changed."""
    return encode_job(decode_job(text))


def test_encode_job_when_all_is_set_then_the_older_fields_first_and_in_their_order() -> None:
    queue = Driver()
    queue.submit("a", type="t", payload=Raw(b"[1]"), max_attempts=5, priority=-2)
    queue.claim()
    queue.fail("a")
    queue.claim(claim_id="c")
    assert list(queue.job("a")) == [
        "id",
        "status",
        "payload",
        "type",
        "createdAt",
        "attempts",
        "maxAttempts",
        "workerId",
        "heartbeat",
        "lease",
        "claimId",
        "priority",
        "lastError",
    ]


def test_encode_job_when_fields_are_at_their_default_then_they_are_left_out() -> None:
    written = encode_job(Job("a", "", 7, UNSET))
    assert written == b'{"id":"a","status":"unclaimed","createdAt":7,"attempts":0}'


def test_encode_job_when_delayed_then_run_at_is_written() -> None:
    assert json.loads(encode_job(Job("a", "", 7, UNSET, run_at=99)))["runAt"] == 99


def test_encode_job_when_encoded_twice_then_the_payload_is_still_there() -> None:
    job = Job("a", "", 7, Raw(b'{"x": 1}'))
    once = encode_job(job)
    job.stale = True
    assert encode_job(job) == once
    assert b'"payload":{"x": 1}' in once


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (42, "42"),
        (1.5, "1.5"),
        (True, "true"),
        (None, ""),
        ("", ""),
        ({"a": [1]}, '{"a":[1]}'),
        ("plain", "plain"),
    ],
)
def test_decode_job_when_the_type_is_what_older_ones_let_in_then_it_is_read_as_text(
    given: object, read: str
) -> None:
    assert decoded(type=given).type == read


@pytest.mark.parametrize(
    ("given", "attempts"),
    [
        (None, 3),
        (0, 1),
        (1, 1),
        (2, 2),
        (1.5, 2),
        (-1, 1),
        (-0.5, 1),
        ("five", 3),
        (True, 3),
        ([2], 3),
        (10**30, 2**31 - 1),
        (-(10**30), 1),
        (3e9, 2**31 - 1),
        (2**31, 2**31 - 1),
    ],
)
def test_decode_job_when_max_attempts_is_what_older_ones_let_in_then_it_allows_so_many(
    given: object, attempts: int
) -> None:
    job = decoded(maxAttempts=given)
    assert job.attempts_allowed == attempts
    assert job.max_attempts is None or 0 <= job.max_attempts < 2**31


@pytest.mark.parametrize(
    ("given", "read"), [("w", "w"), (42, "42"), (None, None), ({"a": 1}, '{"a":1}'), (True, "true")]
)
def test_decode_job_when_the_worker_is_what_older_ones_let_in_then_it_is_read_as_text(
    given: object, read: str | None
) -> None:
    assert decoded(status="in_progress", workerId=given, heartbeat=5).worker_id == read


def test_decode_job_when_running_without_worker_then_nobody_is_its_worker() -> None:
    job = decoded(status="in_progress", attempts=1, heartbeat=5)
    assert (job.status, job.worker_id, job.lease) == (JobStatus.IN_PROGRESS, None, None)


def test_decode_job_when_not_running_then_it_has_no_holder() -> None:
    job = decoded(workerId="w", lease="l", claimId="c", heartbeat=5)
    assert job.worker_id is job.lease is job.claim_id is None
    assert job.heartbeat is None


def test_decode_job_when_running_then_it_is_not_delayed() -> None:
    assert decoded(status="in_progress", runAt=9, workerId="w", heartbeat=5).run_at is None


def test_decode_job_when_it_has_fields_that_we_do_not_know_then_they_survive_as_they_are() -> None:
    text = (
        b'{"id":"a","x-trace":{"k": [1.50, "\\u00e9"], "k": 2},"status":"unclaimed","payload":0,'
        b'"__proto__":null,"createdAt":1,"attempts":0,"big":123456789012345678901234567890}'
    )
    once = rewritten(text)
    assert once == (
        b'{"id":"a","status":"unclaimed","payload":0,"createdAt":1,"attempts":0,'
        b'"x-trace":{"k": [1.50, "\\u00e9"], "k": 2},"__proto__":null,'
        b'"big":123456789012345678901234567890}'
    )
    assert rewritten(once) == once


def test_decode_job_when_a_field_needs_coercing_then_unknown_ones_survive_as_well() -> None:
    once = json.loads(rewritten(json.dumps(job_json(type=42, maxAttempts=1.5, more="x")).encode()))
    assert (once["type"], once["maxAttempts"], once["more"]) == ("42", 2, "x")


@pytest.mark.parametrize("payload", [b"null", b"0", b'"\\u0000"', b'{"a" : [ 1 ,2.50]}'])
def test_decode_job_when_read_and_rewritten_then_the_payload_keeps_its_bytes(
    payload: bytes,
) -> None:
    text = b'{"id":"a","status":"dead","payload":%s,"createdAt":1,"attempts":0}' % payload
    assert payload_of(decode_job(text)) == Raw(payload)
    assert rewritten(text) == text


@pytest.mark.parametrize(
    "change",
    [
        {"id": 5},
        {"id": None},
        {"status": "lost"},
        {"status": "completed"},
        {"status": None},
        {"createdAt": "now"},
        {"attempts": "1"},
        {"attempts": -1},
        {"attempts": None},
        {"priority": 1.5},
        {"priority": "high"},
        {"runAt": "soon"},
        {"lease": 5},
        {"claimId": 5},
        {"heartbeat": "x"},
    ],
)
def test_decode_job_when_a_field_is_malformed_then_corrupt(change: dict[str, object]) -> None:
    with pytest.raises(CorruptStateError):
        decoded(**change)


@pytest.mark.parametrize("field", ["id", "status", "createdAt", "attempts"])
def test_decode_job_when_a_field_is_missing_then_corrupt(field: str) -> None:
    with pytest.raises(CorruptStateError, match=field):
        decode_job(json.dumps({k: v for k, v in job_json().items() if k != field}).encode())


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"5", b'"a"', b'{"id":"a"', b"{\xff}"])
def test_decode_job_when_it_is_no_object_then_corrupt(text: bytes) -> None:
    with pytest.raises(CorruptStateError):
        decode_job(text)


def test_finished_when_written_then_it_says_how_it_ended_and_has_no_payload() -> None:
    queue = Driver()
    queue.submit("a", type="t", payload=Raw(b"1"), priority=3, max_attempts=2)
    (grant,) = queue.claim(worker="w7")
    queue.passes(500)
    queue.complete("a", grant.lease)
    assert queue.json["finished"] == [
        {
            "id": "a",
            "status": "completed",
            "type": "t",
            "createdAt": queue.now.wall - 500,
            "endedAt": queue.now.wall,
            "attempts": 1,
            "maxAttempts": 2,
            "workerId": "w7",
            "lease": grant.lease,
            "priority": 3,
            "content": zlib.crc32(b"t1"),
        }
    ]


def test_finished_when_read_and_written_then_the_same() -> None:
    text = json.dumps(
        ended_json(status="discarded", type="t", lastError={"type": "E", "message": "m"})
    ).encode()
    job = decode_finished(text)
    assert (job.status, job.ended_at, job.type) == (JobStatus.DISCARDED, 2, "t")
    assert json.loads(encode_finished(job)) == json.loads(text)


@pytest.mark.parametrize(
    "change",
    [{"status": "unclaimed"}, {"status": "gone"}, {"endedAt": None}, {"id": 1}, {"type": 42}],
)
def test_decode_finished_when_malformed_then_corrupt(change: dict[str, object]) -> None:
    with pytest.raises(CorruptStateError, match="finished"):
        decode_finished(json.dumps(ended_json(**change)).encode())


def test_encode_when_written_then_it_need_not_be_again() -> None:
    job, end = Job("a", "", 1, UNSET), End("a", "failed", 5)
    encode_job(job)
    encode_recent(end)
    assert (job.stale, end.stale) == (False, False)
    job.status, job.stale, job.ended_at = JobStatus.COMPLETED, True, 5
    encode_finished(job)
    assert not job.stale


@pytest.mark.parametrize("lease", [None, "l"])
def test_recent_when_written_and_read_then_the_same(lease: str | None) -> None:
    text = encode_recent(End("a", "failed", 5, lease))
    end = decode_recent(text)
    assert (end.id, end.how, end.at, end.lease) == ("a", "failed", 5, lease)
    assert (end.encoded, end.stale) == (text, False)
    assert json.loads(text) == ["a", "failed", 5, lease, None]


def test_recent_when_its_fields_have_names_then_read_and_written_anew_without() -> None:
    end = decode_recent(b'{"id":"a","how":"completed","at":5,"lease":"l","content":7}')
    assert end.stale
    assert json.loads(encode_recent(end)) == ["a", "completed", 5, "l", 7]


@pytest.mark.parametrize(
    "text",
    [b"{}", b"[]", b'["a","completed"]', b'["a",1,1]', b'{"id":"a","how":1,"at":1}', b'["\xff"]'],
)
def test_decode_recent_when_malformed_then_corrupt(text: bytes) -> None:
    with pytest.raises(CorruptStateError, match="recent"):
        decode_recent(text)


def test_last_error_when_read_and_rewritten_then_it_keeps_its_bytes() -> None:
    queue = Driver(state_json(job_json(status="dead", lastError={"odd": [1, None]})))
    queue.retry("a")
    assert queue.job("a")["lastError"] == {"odd": [1, None]}
    queue.claim()
    queue.fail("a")
    assert queue.job("a")["lastError"] == json.loads(bytes(noted()))
