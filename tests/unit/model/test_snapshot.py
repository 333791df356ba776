"""Opening and writing state objects: ours, those of older implementations, and broken ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import UNSET, Raw

from osqueue.config import QueueLimits
from osqueue.errors import CorruptStateError
from osqueue.model.outcomes import Done
from osqueue.model.snapshot import FORMAT, decode_state, encode_state, read_origin
from osqueue.model.state import QueueState

from .driver import START, Driver, ended_json, job_json, state_json

OLDER = b"""{
  "broker": "10.0.0.5:8080",
  "brokerHeartbeat": 1706000000000,
  "jobs": [
    {"id": "j1", "status": "in_progress", "payload": {"to": "a@b.c"}, "type": "email:send",
     "createdAt": 1706000000001, "attempts": 1, "maxAttempts": 5, "workerId": "worker-1",
     "heartbeat": 1706000000500},
    {"id": "j2", "status": "unclaimed", "createdAt": 1706000000002, "attempts": 2},
    {"id": "j3", "status": "unclaimed", "payload": null, "type": 42, "createdAt": 3, "attempts": 0},
    {"id": "j4", "status": "unclaimed", "payload": 0, "type": "", "createdAt": 4, "attempts": 0,
     "maxAttempts": "five"},
    {"id": "j5", "status": "in_progress", "createdAt": 5, "attempts": 1, "maxAttempts": 1.5,
     "heartbeat": 1706000000500},
    {"id": "j6", "status": "unclaimed", "createdAt": 6, "attempts": 0, "maxAttempts": -1}
  ],
  "completedTotal": 42
}"""


def opened(data: bytes, **limits: Any) -> QueueState:
    return decode_state(data, limits=QueueLimits(**limits), now=START)


def busy_queue() -> Driver:
    """A queue that has some of everything."""
    queue = Driver(finished_max=1)
    queue.state.header.broker = "10.0.0.5:8080"
    queue.state.header.succeed(7, broker="h:1", broker_id="me")
    queue.state.header.commit = "7-1-x"
    queue.submit("done", "also-done", "failed", "held", type="t", payload=Raw(b'{"k": "\xc3\xa9"}'))
    for grant in queue.claim(most=3):
        _ = queue.fail(grant.id, grant.lease) if grant.id == "failed" else queue.complete(grant.id)
    queue.claim("t", most=2, claim_id="c")
    queue.submit("later", run_at=queue.now.wall + 5, priority=2)
    return queue


def test_decode_when_written_by_an_older_implementation_then_it_is_carried_on() -> None:
    queue = Driver(OLDER)
    totals = queue.state.totals()
    assert (totals.unclaimed, totals.in_progress, totals.completed_total) == (4, 2, 42)
    assert totals.broker == "10.0.0.5:8080"
    assert queue.state.header.broker_heartbeat == 1706000000000
    assert (queue.state.header.epoch, queue.state.header.commit) == (None, None)
    assert queue.complete("j1", worker="worker-1") == Done()
    assert queue.claim_ids(most=9) == ["j2", "j3", "j4", "j6"]
    assert queue.json["completedTotal"] == 43


def test_decode_when_written_by_an_older_implementation_then_its_leases_run_out_later() -> None:
    queue = Driver(OLDER)
    queue.passes(29_999)
    queue.expire()
    assert queue.counts().in_progress == 2
    queue.passes(1)
    queue.expire()
    assert queue.counts().in_progress == 0
    assert queue.claim_ids(most=9)[:2] == ["j1", "j2"]


def test_encode_when_an_older_one_is_rewritten_then_it_finds_all_that_it_knows() -> None:
    queue = Driver(OLDER)
    before, after = json.loads(OLDER), queue.json
    assert after.pop("format") == FORMAT
    assert (after.pop("finished"), after.pop("recent")) == ([], [])
    assert after == before


def test_decode_when_broker_is_null_or_missing_then_nobody_leads() -> None:
    assert opened(state_json()).header.broker is None
    assert opened(b'{"jobs":[]}').header.broker is None
    assert json.loads(encode_state(opened(state_json())))["broker"] is None


def test_encode_when_there_are_fields_that_we_do_not_know_then_they_survive_as_they_are() -> None:
    data = b'{"x" : {"b": [1.0, 2],"a":"\\u00e9 "},"jobs":[],"plans":[ {} ],"__proto__":1e5}'
    queue = Driver(data)
    queue.submit("a")
    for part in (b'"x":{"b": [1.0, 2],"a":"\\u00e9 "}', b'"plans":[ {} ]', b'"__proto__":1e5'):
        assert queue.encoded.count(part) == 1
    queue.reload()
    assert queue.json["plans"] == [{}]


def test_encode_when_decoded_then_the_same_bytes() -> None:
    queue = busy_queue()
    data = queue.encoded
    queue.reload()
    assert queue.encoded == data


def test_decode_when_all_kinds_of_jobs_stand_in_it_then_all_are_back() -> None:
    queue = busy_queue()
    ids = ("done", "also-done", "failed", "held", "later", "none")
    before = [queue.state.jobs.get(job_id) and queue.view(job_id) for job_id in ids]
    ends = [queue.state.ends.how_job_ended(job_id) for job_id in ids]
    counts, size = queue.counts(), queue.state.size
    queue.reload()
    assert [queue.state.jobs.get(job_id) and queue.view(job_id) for job_id in ids] == before
    assert [queue.state.ends.how_job_ended(job_id) for job_id in ids] == ends
    assert (queue.counts(), queue.state.size) == (counts, size)


def test_encode_when_written_then_the_order_and_names_are_those_of_the_format() -> None:
    queue = busy_queue()
    assert list(queue.json) == [
        "format",
        "epoch",
        "commit",
        "broker",
        "brokerId",
        "brokerHeartbeat",
        "completedTotal",
        "jobs",
        "finished",
        "recent",
    ]


def test_header_when_written_and_read_then_the_same() -> None:
    queue = Driver()
    header = queue.state.header
    header.succeed(5, broker="a:1", broker_id="A")
    header.commit = "5-9-z"
    header.succeed(6, broker="b:2", broker_id="B")
    header.commit, header.broker_heartbeat, header.heartbeat_every = "6-0-y", 123, 3_000
    queue.state.dead_total, queue.state.paused = 4, True
    queue.reload()
    assert queue.state.header == header
    assert queue.state.header.lineage == {"5": "5-9-z"}
    assert (queue.state.dead_total, queue.state.paused) == (4, True)


def test_decode_when_leases_are_held_then_each_gets_a_full_time_out() -> None:
    queue = Driver(lease_timeout_ms=1_000, orphan_after_ms=600)
    queue.submit("a")
    queue.claim()
    queue.passes(999)
    queue.reload()
    queue.passes(600)
    queue.heartbeat(complete=True)
    queue.expire()
    assert queue.view("a").status == "in_progress"
    queue.passes(400)
    queue.expire()
    assert queue.view("a").status == "unclaimed"


@pytest.mark.parametrize("data", [b"", b" \n\t"])
def test_decode_when_empty_then_corrupt_and_it_says_so(data: bytes) -> None:
    with pytest.raises(CorruptStateError, match="empty"):
        opened(data)
    with pytest.raises(CorruptStateError, match="empty"):
        read_origin(data)


def test_decode_when_truncated_anywhere_then_corrupt() -> None:
    data = busy_queue().encoded
    for length in range(len(data)):
        with pytest.raises(CorruptStateError):
            opened(data[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"null",
        b"[]",
        b"5",
        b"{}",
        b'{"jobs":null}',
        b'{"jobs":{}}',
        b'{"jobs":[1]}',
        b'{"jobs":[],"finished":{}}',
        b'{"jobs":[],"finished":[{}]}',
        b'{"jobs":[],"recent":[[]]}',
        b'{"jobs":[],"completedTotal":"many"}',
        b'{"jobs":[],"epoch":"new"}',
        b'{"jobs":[],"lineage":[]}',
        b'{"jobs":[],"broker":5}',
        b'{"jobs":[]}{}',
        b'{"jobs":[]}\x00',
        b'\xef\xbb\xbf{"jobs":[]}',
        b'{"jobs":[],"note":"\xff"}',
        b'{"jobs":[{"id":"a","status":"dead","createdAt":1,"attempts":1,"payload":"\xed\xa0\x80"}]}',
        b'{"jobs":[{"id":"a","status":"dead","createdAt":1,"attempts":1,"payload":"\\ud800"}]}',
        "{}".encode("utf-16"),
    ],
)
def test_decode_when_malformed_then_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptStateError):
        opened(data)


def test_decode_when_the_format_is_newer_then_refused_naming_it() -> None:
    data = state_json(format=FORMAT + 1)
    for read in (opened, read_origin):
        with pytest.raises(CorruptStateError, match=f"format {FORMAT + 1}"):
            read(data)


@pytest.mark.parametrize(
    "data",
    [
        state_json(job_json(), job_json()),
        state_json(job_json(), finished=[ended_json()]),
        state_json(finished=[ended_json(), ended_json(status="cancelled")]),
    ],
)
@pytest.mark.parametrize("finished_max", [0, 1, 1_000])
def test_decode_when_a_job_stands_in_it_twice_then_corrupt(data: bytes, finished_max: int) -> None:
    with pytest.raises(CorruptStateError, match="'a'"):
        opened(data, finished_max=finished_max)


@pytest.mark.parametrize("field", ["type", "maxAttempts", "payload", "lastError", "unknown"])
def test_decode_when_nested_up_to_the_limit_of_the_decoder_then_opened_or_corrupt(
    field: str,
) -> None:
    outcomes = set()
    for depth in (*range(900, 1_050), 100_000):  # Python's limits differ by version
        deep = b"[" * depth + b"]" * depth
        job = b'{"id":"a","status":"dead","createdAt":1,"attempts":0,"%s":%s}'
        data = b'{"jobs":[' + job % (field.encode(), deep) + b"]}"
        try:
            opened(data)
        except CorruptStateError:
            outcomes.add("corrupt")
        else:
            outcomes.add("opened")
    assert outcomes == {"opened", "corrupt"}


def test_decode_when_limits_are_lower_than_what_it_holds_then_the_oldest_ends_go() -> None:
    ended = [ended_json(id=f"j{number}") for number in range(4)]
    state = opened(state_json(finished=ended), finished_max=1, dedupe_max=2)
    assert [job.id for job in state.ends.finished] == ["j3"]
    assert [end.id for end in state.ends.recent] == ["j1", "j2"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"epoch": 7, "commit": "7-1-x", "lineage": {"5": "5-3-y"}, "brokerId": "me"},
        {"broker": "h:1", "brokerHeartbeat": 5, "heartbeatEvery": 3_000, "format": 1},
    ],
)
def test_read_origin_when_it_is_a_state_object_then_who_wrote_it(fields: dict[str, Any]) -> None:
    origin = read_origin(state_json(job_json(payload=[1]), **fields))
    assert origin.epoch == fields.get("epoch")
    assert origin.commit == fields.get("commit")
    assert origin.lineage == fields.get("lineage", {})
    assert origin.broker == fields.get("broker")
    assert origin.broker_id == fields.get("brokerId")
    assert origin.broker_heartbeat == fields.get("brokerHeartbeat", 0)
    assert origin.heartbeat_every == fields.get("heartbeatEvery")


@pytest.mark.parametrize("data", [b"null", b"[", b'{"epoch":"x"}', b"\xff", b'{"broker":"\xff"}'])
def test_read_origin_when_it_is_no_state_object_then_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptStateError):
        read_origin(data)


def test_read_origin_when_nested_without_end_then_corrupt() -> None:
    with pytest.raises(CorruptStateError):
        read_origin(b'{"x":' + b"[" * 100_000)


def test_encode_when_payloads_are_absent_or_null_then_they_stay_so() -> None:
    queue = Driver()
    queue.submit("absent")
    queue.submit("null", payload=Raw(b"null"))
    queue.reload()
    assert queue.view("absent").payload is UNSET
    assert queue.view("null").payload == Raw(b"null")
