"""Jobs of any bytes: the three methods of an older system, on jobs like all others.

What is JSON is the payload as it is. Anything else is kept as ``{"$bytes": "<base64>"}`` and
handed back as the same bytes; so is JSON that would not come back byte for byte: with space around
it, or of that very shape. Leases are not said here: the worker's id stands for them.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from osqueue.broker.dispatch import BROKER_HANDLERS, Call
from osqueue.broker.service import QueueService, Reply
from osqueue.errors import BrokerProtocolError
from osqueue.model.jsontext import json_fault
from osqueue.server.http import describe
from osqueue.wire import operations as ops
from osqueue.wire.gen.osqueue.v1 import queue_pb as pb
from osqueue.wire.messages import ClaimRequest, CompleteRequest, SubmitRequest
from osqueue.wire.operations import Operation

__all__ = ["as_payload", "claim", "complete", "from_payload", "push"]

StructT = TypeVar("StructT", bound=msgspec.Struct)

_KEY: Final = b'"$bytes"'
_SPACE: Final = b" \t\r\n"

AT_ONCE_BYTES_MAX: Final = 64 * 1024
"""Larger data are judged and written on a thread: each MiB takes about 10 ms."""


class _Bytes(msgspec.Struct, forbid_unknown_fields=True):
    data: bytes = msgspec.field(name="$bytes")


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Bytes).decode


async def push(service: QueueService, call: Call) -> Reply[Any]:
    """Submit a job."""
    payload = await _as_payload(call.message.data)
    request = SubmitRequest(payload=Raw(payload))
    reply = await _done(service, ops.SUBMIT, Call(request, size=max(call.size, len(payload))))
    return reply._replace(value=pb.PushResponse(job_id=reply.value.job_id))


async def claim(service: QueueService, call: Call) -> Reply[Any]:
    """Claim one job of any type; never waits."""
    request = _of_worker(call.message.worker_id, ClaimRequest)
    reply = await _done(service, ops.CLAIM, Call(request, size=call.size, caller=call.caller))
    if not reply.value.jobs:
        return reply._replace(value=pb.ClaimResponse(empty=True))
    job = reply.value.jobs[0]
    return reply._replace(value=pb.ClaimResponse(job_id=job.job_id, data=from_payload(job.payload)))


async def complete(service: QueueService, call: Call) -> Reply[Any]:
    """Complete a job that the worker holds."""
    request = _of_worker(call.message.worker_id, CompleteRequest)
    reply = await _done(service, ops.COMPLETE, Call(request, call.message.job_id, call.size))
    return reply._replace(value=pb.CompleteResponse())


def as_payload(data: bytes) -> bytes:
    """JSON text that stands for any bytes."""
    return data if _is_kept_as_it_is(data) else _encode(_Bytes(data))


def from_payload(payload: Raw | UnsetType) -> bytes:
    """The bytes that a payload stands for; none where there is none."""
    if payload is UNSET:
        return b""
    kept = _kept_in(bytes(payload))
    return bytes(payload) if kept is None else kept


async def _as_payload(data: bytes) -> bytes:
    if len(data) <= AT_ONCE_BYTES_MAX:
        return as_payload(data)
    return await asyncio.to_thread(as_payload, data)


def _is_kept_as_it_is(data: bytes) -> bool:
    spaced = data[:1].strip(_SPACE) != data[:1] or data[-1:].strip(_SPACE) != data[-1:]
    return not spaced and json_fault(data) is None and _kept_in(data) is None


def _kept_in(text: bytes) -> bytes | None:
    """The bytes of ``{"$bytes": …}``; ``None`` when a text is something else."""
    if not text.startswith(b"{") or _KEY not in text[:64]:
        return None
    try:
        return _decode(text).data
    except msgspec.DecodeError:
        return None


def _of_worker(worker_id: str, kind: type[StructT]) -> StructT:
    try:
        return msgspec.convert({"workerId": worker_id}, kind)
    except msgspec.ValidationError as error:
        raise BrokerProtocolError(describe(error)) from error


async def _done(service: QueueService, operation: Operation, call: Call) -> Reply[Any]:
    return await BROKER_HANDLERS[operation.name](service, call)
