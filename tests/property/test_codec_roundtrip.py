"""The codec both ways: what is written is read back, and nothing at all makes it stumble."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw, UnsetType

from osqueue.config import QueueLimits
from osqueue.errors import CorruptStateError
from osqueue.model.apply import apply
from osqueue.model.codec import (
    decode_finished,
    decode_job,
    decode_recent,
    encode_finished,
    encode_job,
    encode_recent,
)
from osqueue.model.ends import End
from osqueue.model.invariants import check
from osqueue.model.job import END_STATUSES, Job, JobStatus, LargePayload, Moment, payload_of
from osqueue.model.ops import Claim, Expire, ListJobs, NewJob, Submit
from osqueue.model.outcomes import Page, Submitted
from osqueue.model.snapshot import decode_state, encode_state, read_origin
from osqueue.model.state import QueueState

NOW = Moment(1_800_000_000_000, 1_000)
LATER = Moment(NOW.wall + 10**6, NOW.serving + 10**6)

texts = st.text(max_size=8)
times = st.integers(0, 2**53)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
finite_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
).filter(lambda value: "Infinity" not in json.dumps(value))
raws = st.builds(lambda value: Raw(json.dumps(value).encode()), finite_json)
optional_raws = st.just(UNSET) | raws
optional_texts = st.none() | texts
jobs = st.builds(
    Job,
    id=texts,
    type=texts,
    created_at=times,
    payload=optional_raws,
    status=st.sampled_from([JobStatus.UNCLAIMED, JobStatus.DEAD]),
    priority=st.integers(-(2**53), 2**53),
    attempts=st.integers(0, 2**31 - 1),
    max_attempts=st.none() | st.integers(0, 2**31 - 1),
    last_error=optional_raws,
    large=st.none() | st.builds(LargePayload, texts, times, st.integers(0, 2**32 - 1)),
)
FIELDS = ("id", "type", "created_at", "status", "priority", "attempts", "max_attempts")
HELD = ("worker_id", "heartbeat", "lease", "claim_id", "last_error", "run_at", "ended_at")


def fields_of(job: Job) -> list[object]:
    return [getattr(job, name) for name in FIELDS + HELD]


def opened(data: bytes) -> QueueState | None:
    """The state, or ``None`` if it is refused as corrupt; any other exception is a fault."""
    with suppress(CorruptStateError):
        read_origin(data)
    try:
        return decode_state(data, limits=QueueLimits(), now=NOW)
    except CorruptStateError:
        return None


def use(state: QueueState) -> None:
    """Whatever was opened can be worked with, written, and opened again, also by plain `json`."""
    check(state)
    for op in (Claim("w", "seed", None, 9), Expire(), Claim("w", "more", None, 9, "c")):
        apply(state, op, NOW if isinstance(op, Claim) else LATER)
        check(state)
    assert isinstance(apply(state, ListJobs(100), NOW), Page)
    data = encode_state(state)
    json.loads(data)
    again = decode_state(data, limits=QueueLimits(), now=NOW)
    assert encode_state(again) == data


@given(jobs, optional_texts, optional_texts, optional_texts, st.none() | times)
def test_job_when_written_and_read_then_the_same(
    job: Job, worker: str | None, lease: str | None, claim: str | None, run_at: int | None
) -> None:
    if job.status is JobStatus.UNCLAIMED:
        job.run_at = run_at
        if run_at is None:
            job.status, job.heartbeat = JobStatus.IN_PROGRESS, 7
            job.worker_id, job.lease, job.claim_id = worker, lease, claim
    payload = payload_of(job)
    text = encode_job(job)
    again = decode_job(text)
    assert fields_of(again) == fields_of(job)
    assert payload_of(again) == payload
    assert again.large == job.large
    assert encode_job(again) == text
    assert json.loads(text)["id"] == job.id


@given(jobs, st.sampled_from(sorted(END_STATUSES)), optional_texts, times)
def test_finished_job_when_written_and_read_then_the_same_without_its_payload(
    job: Job, status: JobStatus, lease: str | None, ended_at: int
) -> None:
    job.status, job.lease, job.ended_at = status, lease, ended_at
    again = decode_finished(encode_finished(job))
    assert fields_of(again) == fields_of(job)
    assert again.payload is UNSET
    assert "payload" not in json.loads(job.encoded)


@given(texts, texts, times, optional_texts)
def test_end_when_written_and_read_then_the_same(
    job_id: str, how: str, at: int, lease: str | None
) -> None:
    again = decode_recent(encode_recent(End(job_id, how, at, lease)))
    assert (again.id, again.how, again.at, again.lease) == (job_id, how, at, lease)


@given(st.dictionaries(texts, finite_json, max_size=4), finite_json, st.text(max_size=3))
def test_unknown_fields_when_a_state_is_rewritten_then_their_values_keep_their_bytes(
    of_state: dict[str, Any], of_job: Any, space: str
) -> None:
    top = {f"x-{name}": value for name, value in of_state.items()}
    spaced = json.dumps(of_job, indent=len(space))
    job = f'{{"id":"a","status":"unclaimed","x-job":{spaced},"createdAt":1,"attempts":0}}'
    state = opened(f'{json.dumps(top)[:-1]}{", " if top else ""}"jobs":[{job}]}}'.encode())
    assert state is not None
    apply(state, Claim("w", "seed"), NOW)
    text = encode_state(state)
    assert b'"x-job":' + spaced.encode() in text
    for value in top.values():
        assert json.dumps(value).encode() in text
    written = json.loads(text)
    assert {name: written[name] for name in top} == top
    use(state)


@given(st.lists(st.tuples(texts, optional_raws), max_size=80, unique_by=lambda job: job[0]))
def test_state_when_written_then_plain_json_reads_the_same_jobs(
    submitted: list[tuple[str, Raw | UnsetType]],
) -> None:
    state = QueueState(QueueLimits())
    batch = tuple(NewJob(job_id, "t", payload) for job_id, payload in submitted)
    assert apply(state, Submit(batch), NOW) == Submitted(len(batch))
    for written, new in zip(json.loads(encode_state(state))["jobs"], batch, strict=True):
        assert written["id"] == new.id
        assert ("payload" in written) is (new.payload is not UNSET)
        if new.payload is not UNSET:
            assert repr(written["payload"]) == repr(json.loads(bytes(new.payload)))
    use(state)


@given(st.binary(max_size=200))
def test_open_when_given_any_bytes_then_a_state_or_corrupt(data: bytes) -> None:
    state = opened(data)
    if state is not None:
        use(state)


VALID = (
    b'{"format":1,"epoch":7,"commit":"7-1-x","lineage":{"5":"5-1-y"},"broker":"h:1",'
    b'"brokerHeartbeat":5,"completedTotal":2,"jobs":[{"id":"a","status":"in_progress","payload":'
    b'{"k":[1.5,"\xc3\xa9"]},"type":"t","createdAt":1,"attempts":1,"maxAttempts":2,"workerId":"w",'
    b'"heartbeat":5,"lease":"l","more":null},{"id":"b","status":"unclaimed","createdAt":1,'
    b'"attempts":0,"runAt":1800000000009}],"finished":[{"id":"c","status":"completed","createdAt":1'
    b',"endedAt":2,"attempts":1}],"recent":[["d","failed",3,"m"],{"id":"d","how":"failed","at":3,"lease":"n"}]}'
)
cuts = st.tuples(st.integers(0, len(VALID)), st.integers(0, 6), st.binary(max_size=6))
swaps = st.sampled_from(
    [b"[", b"]", b"{", b"}", b'"', b"\\", b",", b"-", b"1e999", b"null", b'"a"', b"\xff", b"9" * 40]
)


def test_open_when_given_the_valid_state_then_it_opens() -> None:
    state = opened(VALID)
    assert state is not None
    use(state)


@given(st.lists(cuts, max_size=3), st.integers(0, len(VALID)), swaps)
def test_open_when_a_valid_state_is_damaged_then_a_state_or_corrupt(
    changes: list[tuple[int, int, bytes]], place: int, swap: bytes
) -> None:
    data = VALID
    for start, length, new in [*changes, (place, len(swap) % 5, swap)]:
        data = data[:start] + new + data[start + length :]
    state = opened(data)
    if state is not None:
        use(state)


odd = st.integers(-3, 3) | finite_json
common = {"createdAt": times, "attempts": st.integers(0, 3)}
extras = {
    "type": odd,
    "maxAttempts": odd,
    "workerId": odd,
    "heartbeat": times,
    "claimId": optional_texts,
    "priority": st.integers(),
    "runAt": st.none() | times,
    "payload": finite_json,
    "lastError": finite_json,
    "traceparent": odd,
    "unknown": finite_json,
}
live_jobs = st.fixed_dictionaries(
    {**common, "status": st.sampled_from(["unclaimed", "in_progress", "dead"])}, optional=extras
)
ended_jobs = st.fixed_dictionaries(
    {**common, "status": st.sampled_from(sorted(END_STATUSES)), "endedAt": times},
    optional={"type": texts, "lastError": finite_json, "unknown": finite_json},
)
named_ends = st.fixed_dictionaries(
    {"id": texts, "how": texts, "at": times}, optional={"lease": texts}
)
ends = named_ends | st.tuples(texts, texts, times, optional_texts)
optional_fields = {
    "format": st.integers(-1, 1),
    "epoch": st.none() | st.integers(),
    "commit": optional_texts,
    "lineage": st.dictionaries(texts, texts, max_size=2),
    "broker": optional_texts,
    "completedTotal": st.integers(0, 5),
    "recent": st.lists(ends, max_size=3),
    "unknown": finite_json,
}
known_names = st.sampled_from(
    ["jobs", "finished", *optional_fields, *extras, *common, "id", "status", "endedAt", "lease"]
)


def numbered(jobs: list[dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
    return [{"id": f"{prefix}{number}", **job} for number, job in enumerate(jobs)]


@given(
    st.lists(live_jobs, max_size=4),
    st.lists(ended_jobs, max_size=3),
    st.fixed_dictionaries({}, optional=optional_fields),
)
def test_open_when_it_is_what_others_may_have_written_then_a_state_that_works(
    live: list[dict[str, Any]], ended: list[dict[str, Any]], fields: dict[str, Any]
) -> None:
    whole = {"jobs": numbered(live, "j"), "finished": numbered(ended, "e"), **fields}
    state = opened(json.dumps(whole).encode())
    assert state is not None
    assert len(state.jobs) == len(live)
    use(state)


@given(
    st.recursive(
        json_values,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(known_names, inner, max_size=9)
            | st.fixed_dictionaries({"jobs": st.lists(st.dictionaries(known_names, inner))})
        ),
        max_leaves=20,
    )
)
def test_open_when_given_any_json_then_a_state_or_corrupt(value: Any) -> None:
    state = opened(json.dumps(value).encode())
    if state is not None:
        use(state)
