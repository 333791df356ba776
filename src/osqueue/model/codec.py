"""The JSON of one job, one ended job and one remembered end, both ways.

The key order of a job is that of older implementations, then our own fields, then fields that we
do not know, which survive. A field at its default is left out. What older implementations let in
(a number as type or worker, a fraction or a word as ``maxAttempts``) is read as what they made of
it.
"""

from __future__ import annotations

import math
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from osqueue.config import TIME_MS_MAX, RetryPolicy
from osqueue.errors import CorruptStateError
from osqueue.model.ends import End
from osqueue.model.failures import earlier_of
from osqueue.model.job import (
    END_STATUSES,
    NO_TERMS,
    Job,
    JobStatus,
    LargePayload,
    Notes,
    Terms,
    payload_of,
)

__all__ = [
    "decode_finished",
    "decode_job",
    "decode_recent",
    "encode_finished",
    "encode_job",
    "encode_recent",
]

_LIVE = {status.value: status for status in JobStatus if status not in END_STATUSES}
_ENDED = {status.value: status for status in (*END_STATUSES, JobStatus.DEAD)}

_ATTEMPTS_MAX = 2**31 - 1
"""The most that every transport can show."""

_TimeoutMs = Annotated[int, Meta(ge=1, le=TIME_MS_MAX)]
"""As it can be submitted: no transport need show more."""


class _JobWire(
    msgspec.Struct,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    id: str
    status: str
    payload: Raw | UnsetType = UNSET
    type: str = ""
    created_at: int
    attempts: Annotated[int, Meta(ge=0)]
    max_attempts: Annotated[int, Meta(ge=0, le=_ATTEMPTS_MAX)] | None = None
    worker_id: str | None = None
    heartbeat: int | None = None
    lease: str | None = None
    claim_id: str | None = None
    priority: int = 0
    run_at: int | None = None
    last_error: Raw | UnsetType = UNSET
    payload_key: str | None = None
    payload_bytes: Annotated[int, Meta(ge=0)] = 0
    content: int = 0
    traceparent: str | None = None
    retry: RetryPolicy | None = None
    timeout_ms: _TimeoutMs | None = None
    keep_result: bool = False
    earlier_errors: list[Raw] = []
    progress: Raw | UnsetType = UNSET
    after: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()


class _FinishedWire(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    id: str
    status: str
    type: str = ""
    created_at: int
    ended_at: int
    attempts: int
    max_attempts: int | None = None
    worker_id: str | None = None
    lease: str | None = None
    priority: int = 0
    last_error: Raw | UnsetType = UNSET
    content: int | None = None
    traceparent: str | None = None
    retry: RetryPolicy | None = None
    timeout_ms: int | None = None
    keep_result: bool = False
    earlier_errors: list[Raw] = []
    result: Raw | UnsetType = UNSET
    after: tuple[str, ...] = ()
    payload: Raw | UnsetType = UNSET
    """Of dead letters only: they can be queued again."""


class _RecentWire(msgspec.Struct, array_like=True, gc=False):
    """Without names: up to 20,000 of them stand in each commit, and the names were a third."""

    id: str
    how: str
    at: int
    lease: str | None = None
    content: int | None = None


class _NamedRecentWire(msgspec.Struct, gc=False):
    """As they were written before."""

    id: str
    how: str
    at: int
    lease: str | None = None
    content: int | None = None


_OURS = b'{"id":"'
"""How an entry begins that nobody has formatted anew; entries of the archive are found by it."""

_encode = msgspec.json.Encoder().encode
_job_decoder = msgspec.json.Decoder(_JobWire)
_fields_decoder = msgspec.json.Decoder(dict[str, Raw])
_finished_decoder = msgspec.json.Decoder(_FinishedWire)
_recent_decoder = msgspec.json.Decoder(_RecentWire)
_named_recent_decoder = msgspec.json.Decoder(_NamedRecentWire)
_JOB_KEYS = frozenset(_JobWire.__struct_encode_fields__)


def encode_job(job: Job) -> bytes:
    """Refresh a job's JSON."""
    wire = _JobWire(
        id=job.id,
        status=job.status,
        payload=payload_of(job),
        type=job.type,
        created_at=job.created_at,
        attempts=job.attempts,
        max_attempts=job.max_attempts,
        priority=job.priority,
        run_at=job.run_at,
        last_error=job.last_error,
        traceparent=job.traceparent,
    )
    if job.status is JobStatus.IN_PROGRESS:
        wire.worker_id, wire.heartbeat = job.worker_id, job.heartbeat
        wire.lease, wire.claim_id = job.lease, job.claim_id
    if job.large is not None:
        wire.payload_key, wire.payload_bytes = job.large.key, job.large.size
        wire.content = job.large.content
    if job.terms is not NO_TERMS:
        _write_terms(wire, job.terms)
    if job.notes is not None:
        wire.earlier_errors = earlier_of(job.notes.earlier)
        wire.progress = UNSET if job.notes.progress is None else job.notes.progress
        wire.after, wire.waits_for = job.notes.after, job.waits_for
    encoded = _encode(wire)
    job.encoded = encoded[:-1] + job.extra + b"}" if job.extra else encoded
    job.payload = None
    job.stale = False
    return job.encoded


def decode_job(data: bytes) -> Job:
    """Read a job; raises `CorruptStateError` when it is none."""
    extra = b""
    try:
        wire = _job_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        wire, extra = _decode_foreign(data)
    status = _LIVE.get(wire.status)
    if status is None:
        raise CorruptStateError(f"job {wire.id!r} has the unknown status {wire.status!r}")
    running = status is JobStatus.IN_PROGRESS
    return Job(
        id=wire.id,
        type=wire.type,
        created_at=wire.created_at,
        payload=None,
        status=status,
        priority=wire.priority,
        run_at=wire.run_at if status is JobStatus.UNCLAIMED else None,
        attempts=wire.attempts,
        max_attempts=wire.max_attempts,
        worker_id=wire.worker_id if running else None,
        heartbeat=wire.heartbeat if running else None,
        lease=wire.lease if running else None,
        claim_id=wire.claim_id if running else None,
        last_error=UNSET if wire.last_error is UNSET else Raw(bytes(wire.last_error)),
        large=_large(wire),
        traceparent=wire.traceparent,
        terms=_terms(wire),
        notes=_live_notes(wire, status),
        extra=extra,
        encoded=data,
        stale=False,
    )


def _write_terms(wire: _JobWire | _FinishedWire, terms: Terms) -> None:
    wire.retry, wire.timeout_ms = terms.retry, terms.timeout_ms
    wire.keep_result = terms.keep_result


def _terms(wire: _JobWire | _FinishedWire) -> Terms:
    if wire.retry is None and wire.timeout_ms is None and not wire.keep_result:
        return NO_TERMS
    return Terms(wire.retry, wire.timeout_ms, wire.keep_result)


def _live_notes(wire: _JobWire, status: JobStatus) -> Notes | None:
    """A job waits only for what it was submitted to run after, and only until it is claimed: an
    older implementation hands it out before.
    """
    running = status is JobStatus.IN_PROGRESS
    notes = _notes(wire, progress=wire.progress if running else UNSET)
    if notes is not None and wire.waits_for and status is JobStatus.UNCLAIMED:
        notes.waits_for = {each: None for each in wire.waits_for if each in notes.after}
    return notes


def _notes(
    wire: _JobWire | _FinishedWire,
    *,
    progress: Raw | UnsetType = UNSET,
    result: Raw | UnsetType = UNSET,
) -> Notes | None:
    """What is there of them, copied: none of it must keep the whole state object."""
    if not wire.earlier_errors and not wire.after and progress is UNSET and result is UNSET:
        return None
    return Notes(
        b",".join(map(bytes, wire.earlier_errors)),
        None if isinstance(progress, UnsetType) else Raw(bytes(progress)),
        UNSET if isinstance(result, UnsetType) else Raw(bytes(result)),
        tuple(dict.fromkeys(wire.after)),
    )


def _large(wire: _JobWire) -> LargePayload | None:
    if wire.payload_key is None:
        return None
    return LargePayload(wire.payload_key, wire.payload_bytes, wire.content)


def encode_finished(job: Job) -> bytes:
    """Refresh the JSON of an ended job; only that of a dead letter has its payload."""
    assert job.ended_at is not None, "only ended jobs are finished"
    wire = _FinishedWire(
        id=job.id,
        status=job.status.value,
        type=job.type,
        created_at=job.created_at,
        ended_at=job.ended_at,
        attempts=job.attempts,
        max_attempts=job.max_attempts,
        worker_id=job.worker_id,
        lease=job.lease,
        priority=job.priority,
        last_error=job.last_error,
        content=job.content,
        traceparent=job.traceparent,
        payload=payload_of(job) if job.status is JobStatus.DEAD else UNSET,
    )
    if job.terms is not NO_TERMS:
        _write_terms(wire, job.terms)
    if job.notes is not None:
        wire.earlier_errors = earlier_of(job.notes.earlier)
        wire.result, wire.after = job.notes.result, job.notes.after
    job.encoded = _encode(wire)
    if job.status is JobStatus.DEAD:
        job.payload = None
    job.stale = False
    return job.encoded


def decode_finished(data: bytes) -> Job:
    """Read an ended job; raises `CorruptStateError` when it is none."""
    try:
        wire = _finished_decoder.decode(data)
        status = _ENDED[wire.status]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
        raise CorruptStateError(f"an entry of `finished` is malformed: {error}") from error
    return Job(
        id=wire.id,
        type=wire.type,
        created_at=wire.created_at,
        payload=None if status is JobStatus.DEAD else UNSET,
        status=status,
        priority=wire.priority,
        attempts=wire.attempts,
        max_attempts=wire.max_attempts,
        worker_id=wire.worker_id,
        lease=wire.lease,
        last_error=UNSET if wire.last_error is UNSET else Raw(bytes(wire.last_error)),
        traceparent=wire.traceparent,
        terms=_terms(wire),
        notes=_notes(wire, result=wire.result),
        ended_at=wire.ended_at,
        content=wire.content,
        encoded=data,
        stale=not data.startswith(_OURS),
    )


def encode_recent(end: End) -> bytes:
    """Refresh the JSON of a remembered end."""
    end.encoded = _encode(_RecentWire(end.id, end.how, end.at, end.lease, end.content))
    end.stale = False
    return end.encoded


def decode_recent(data: bytes) -> End:
    """Read a remembered end; raises `CorruptStateError` when it is none."""
    named = data.startswith(b"{")
    wire: _RecentWire | _NamedRecentWire
    try:
        wire = _named_recent_decoder.decode(data) if named else _recent_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptStateError(f"an entry of `recent` is malformed: {error}") from error
    return End(wire.id, wire.how, wire.at, wire.lease, wire.content, encoded=data, stale=named)


def _decode_foreign(data: bytes) -> tuple[_JobWire, bytes]:
    """Read a job that holds fields or values that we do not write."""
    try:
        fields = _fields_decoder.decode(data)
        known = {name: raw for name, raw in fields.items() if name in _JOB_KEYS}
        _coerce(known)
        wire = _job_decoder.decode(_encode(known))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptStateError(f"a job is malformed: {error}: {data[:120]!r}") from error
    unknown = {name: raw for name, raw in fields.items() if name not in _JOB_KEYS}
    return wire, b"," + _encode(unknown)[1:-1] if unknown else b""


def _coerce(fields: dict[str, Raw]) -> None:
    """Read ``type``, ``workerId`` and ``maxAttempts`` as older implementations acted on them."""
    if "type" in fields:
        type_ = msgspec.json.decode(fields["type"])
        fields["type"] = Raw(_encode("" if type_ is None else _as_text(type_)))
    if "workerId" in fields:
        worker = msgspec.json.decode(fields["workerId"])
        fields["workerId"] = Raw(_encode(None if worker is None else _as_text(worker)))
    if not bytes(fields.get("traceparent", b'"')).startswith(b'"'):
        del fields["traceparent"]
    for name, kind in _OURS_ALONE.items():
        if name in fields and not _is(fields[name], kind):
            del fields[name]
    if "maxAttempts" in fields:
        fields["maxAttempts"] = Raw(_encode(_as_attempts(fields["maxAttempts"])))


_OURS_ALONE = {
    "retry": RetryPolicy | None,
    "timeoutMs": _TimeoutMs | None,
    "keepResult": bool,
    "earlierErrors": list[Raw],
    "after": list[str],
    "waitsFor": list[str],
}
"""Fields that an older implementation may have by the same name, but of another kind."""


def _is(raw: Raw, kind: object) -> bool:
    try:
        msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError:
        return False
    return True


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else _encode(value).decode()


def _as_attempts(raw: Raw) -> int | None:
    value = msgspec.json.decode(raw)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return max(0, min(math.ceil(value), _ATTEMPTS_MAX))
