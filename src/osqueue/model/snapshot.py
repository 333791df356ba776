"""The whole state as one JSON object, both ways.

Reading is strict about what makes a queue (malformed, truncated, a newer format, a job twice:
`CorruptStateError`) and keeps what it does not know. Writing is a join of cached pieces.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from osqueue.config import QueueLimits
from osqueue.errors import CorruptStateError
from osqueue.model.batches import Outbox
from osqueue.model.codec import decode_finished, decode_job, decode_recent
from osqueue.model.job import JobStatus, Moment
from osqueue.model.schedules import decode_schedule
from osqueue.model.state import Header, QueueState, weight_of
from osqueue.model.watch import Watch

__all__ = ["FORMAT", "Origin", "decode_state", "encode_state", "read_origin"]

FORMAT = 1
"""The version of the format that we write, and the newest that we read."""


class _HeaderWire(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    format: int
    epoch: int | None = None
    commit: str | None = None
    lineage: dict[str, str] = {}
    broker: str | None
    broker_id: str | None = None
    broker_heartbeat: int
    heartbeat_every: int | None = None
    completed_total: int
    dead_total: int = 0
    paused: bool = False
    outbox: Outbox | None = None


class Origin(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """Who wrote a version: what is read of a state object to learn a write's fate."""

    format: int = 0
    epoch: int | None = None
    commit: str | None = None
    lineage: dict[str, str] = {}
    broker: str | None = None
    broker_id: str | None = None
    broker_heartbeat: int = 0
    heartbeat_every: int | None = None


class _StateWire(Origin, kw_only=True):
    completed_total: int = 0
    dead_total: int = 0
    paused: bool = False
    outbox: Outbox | None = None
    schedules: list[Raw] = []
    jobs: list[Raw]
    finished: list[Raw] = []
    recent: list[Raw] = []


_encode = msgspec.json.Encoder().encode
_origin_decoder = msgspec.json.Decoder(Origin)
_state_decoder = msgspec.json.Decoder(_StateWire)
_fields_decoder = msgspec.json.Decoder(dict[str, Raw])
_KNOWN = frozenset(_StateWire.__struct_encode_fields__)


def encode_state(state: QueueState) -> bytes:
    """The state's JSON. Its header names the commit that these bytes will be."""
    header = state.header
    wire = _HeaderWire(
        format=FORMAT,
        epoch=header.epoch,
        commit=header.commit,
        lineage=header.lineage,
        broker=header.broker,
        broker_id=header.broker_id,
        broker_heartbeat=header.broker_heartbeat,
        heartbeat_every=header.heartbeat_every,
        completed_total=state.completed_total,
        dead_total=state.dead_total,
        paused=state.paused,
        outbox=state.ends.outbox,
    )
    head = _encode(wire)[:-1]
    if state.extra:
        head += b"," + _encode(state.extra)[1:-1]
    parts = [head]
    if len(state.schedules):
        parts += (b',"schedules":[', state.schedules.encoded(), b"]")
    for name, array in (
        (b"jobs", state.order),
        (b"finished", state.ends.finished),
        (b"recent", state.ends.recent),
    ):
        separator = b',"' + name + b'":['
        for piece in array.pieces():
            parts += (separator, piece)
            separator = b","
        parts.append(b"]" if separator == b"," else separator + b"]")
    parts.append(b"}")
    return b"".join(parts)


def read_origin(data: bytes) -> Origin:
    """Who wrote these bytes. Raises `CorruptStateError` when they are no state object."""
    try:
        origin = _origin_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptStateError(_malformed(data, error)) from error
    _check_format(origin)
    return origin


def decode_state(
    data: bytes,
    *,
    limits: QueueLimits,
    now: Moment,
    generation: str = "",
    watch: Watch | None = None,
) -> QueueState:
    """Read a state object. Every lease in it gets a full time-out from ``now`` on, but for those
    that ``watch`` knows.
    """
    wire, extra = _decode(data)
    state = QueueState(limits, generation=generation)
    state.header = Header(
        wire.epoch,
        wire.commit,
        wire.lineage,
        wire.broker,
        wire.broker_id,
        wire.broker_heartbeat,
        wire.heartbeat_every,
    )
    state.completed_total = wire.completed_total
    state.dead_total = wire.dead_total
    state.paused = wire.paused
    state.extra = extra
    try:
        _read_jobs(state, wire.jobs, now, watch)
        _read_ends(state, wire, now, watch)
        _read_schedules(state, wire.schedules)
    except RecursionError as error:
        raise CorruptStateError("it is nested too deep to be read") from error
    return state


def _read_ends(state: QueueState, wire: _StateWire, now: Moment, watch: Watch | None) -> None:
    """Each is remembered for a full window from now on, or from when it was first seen."""
    state.ends.outbox = wire.outbox
    sealed = frozenset(() if wire.outbox is None else wire.outbox.ids)
    for raw in wire.finished:
        job = decode_finished(bytes(raw))
        job.deadline = now.serving
        if watch is not None:
            watch.finished(job)
        if job.id in state.jobs or job.id in state.ends:
            raise CorruptStateError(f"job {job.id!r} stands in it twice")
        leaves = state.limits.archived or job.id in sealed
        if job.status is JobStatus.DEAD and not leaves:
            state.keep_dead(job)
        else:
            state.ends.add_job(job)
    for raw in wire.recent:
        end = decode_recent(bytes(raw))
        end.since = now.serving
        if watch is not None:
            watch.end(end)
        state.ends.add_end(end)


def _read_jobs(state: QueueState, jobs: list[Raw], now: Moment, watch: Watch | None) -> None:
    deadline = now.serving + state.limits.lease_timeout_ms
    for raw in jobs:
        job = decode_job(bytes(raw))
        if job.id in state.jobs:
            raise CorruptStateError(f"job {job.id!r} stands in it twice")
        if job.status is JobStatus.IN_PROGRESS:
            job.granted_at, job.deadline, job.since = now.serving, deadline, now.wall
            if watch is not None:
                watch.lease(job)
        elif (job.attempts or job.after) and job.run_at is None:
            job.since = now.wall  # it was handed out, or free, before; since when is not written
        state.admit(job, weight_of(job))


def _read_schedules(state: QueueState, schedules: list[Raw]) -> None:
    for raw in schedules:
        schedule, extra = decode_schedule(bytes(raw))
        if state.schedules.get(schedule.name) is not None:
            raise CorruptStateError(f"schedule {schedule.name!r} stands in it twice")
        state.put_schedule(schedule, extra)


def _decode(data: bytes) -> tuple[_StateWire, dict[str, Raw]]:
    try:
        if not data.isascii():
            data.decode()  # msgspec looks only at the strings that it builds
        wire = _state_decoder.decode(data)
        fields = _fields_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptStateError(_malformed(data, error)) from error
    _check_format(wire)
    return wire, {name: raw for name, raw in fields.items() if name not in _KNOWN}


def _check_format(origin: Origin) -> None:
    if origin.format > FORMAT:
        raise CorruptStateError(
            f"it has format {origin.format}, and this version of osqueue reads up to {FORMAT}: "
            "use a newer osqueue"
        )


def _malformed(data: bytes, error: Exception) -> str:
    return "it is empty" if not data.strip() else f"it is not a state object: {error}"
