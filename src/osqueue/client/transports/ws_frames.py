"""The frames of the WebSocket, as text: requests out, answers in. Pure.

``{"id","method","params","v":1}`` is answered by ``{"id","ok":true,"result","commit"}`` or
``{"id","ok":false,"error"}``; of a stream come ``{"id","open":true}`` and ``{"id","event"}`` before
that. The method ``cancel`` gives another request up.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from osqueue.client.transports.http_answers import parse_position, resting_on
from osqueue.client.transports.protocol import Answer
from osqueue.errors import BrokerProtocolError, OsqueueError, TransportRequestError
from osqueue.wire.errors import HTTP_STATUS, error_from_body
from osqueue.wire.messages import ErrorBody, PayloadAnswer, ReleaseRequest
from osqueue.wire.operations import OPERATIONS, RELEASE, STREAMS, SUBMIT, SUBMIT_LARGE, Operation

__all__ = [
    "Frame",
    "cancel_frame",
    "parse_frame",
    "read_event",
    "read_result",
    "release_texts",
    "request_frame",
    "written",
]

_encode = msgspec.json.Encoder().encode
_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    each.name: msgspec.json.Decoder(PayloadAnswer if each.answer is Raw else each.answer)
    for each in (*OPERATIONS, *STREAMS)
    if each.answer is not None
}


class Frame(msgspec.Struct):
    """An answer, or what a stream brings, its result or event still as text."""

    id: str | None = None
    ok: bool | None = None
    """Whether it was done; ``None`` of what comes first of a stream."""
    result: Raw | UnsetType = UNSET
    event: Raw | UnsetType = UNSET
    error: ErrorBody | None = None
    commit: str | None = None


class _Lease(msgspec.Struct, rename="camel"):
    job_id: str
    lease: str


class _Jobs(msgspec.Struct):
    jobs: list[_Lease] = []


_jobs_decoder: Final = msgspec.json.Decoder(_Jobs)
_decode: Final = msgspec.json.Decoder(Frame).decode


def written(operation: Operation, request: msgspec.Struct | None, job_id: str | None) -> bytes:
    """The method and params of a request. Raises `BrokerProtocolError` for what cannot be said."""
    if operation.on_one_job and not job_id:
        raise BrokerProtocolError(f"{operation.name}: the job id is empty")
    try:
        params = b"{}" if request is None else _encode(request)
        if operation.on_one_job and operation is not SUBMIT_LARGE:
            rest = b"}" if params == b"{}" else b"," + params[1:]
            params = b'{"jobId":' + _encode(job_id) + rest
    except UnicodeEncodeError as error:
        raise BrokerProtocolError(f"{operation.name}: not a Unicode text: {error}") from error
    method = SUBMIT.name if operation is SUBMIT_LARGE else operation.name
    return b'"method":"%b","params":%b,"v":1}' % (method.encode(), params)


def request_frame(number: int, text: bytes) -> bytes:
    """A request under its id; ``text`` is what `written` has made."""
    return b'{"id":"%d",%b' % (number, text)


def cancel_frame(number: int) -> bytes:
    """What gives a request up; it is not answered by anything that is waited for."""
    return b'{"id":"c%d","method":"cancel","params":{"id":"%d"},"v":1}' % (number, number)


def release_texts(worker_id: str, frame: Frame) -> list[bytes]:
    """What gives back the jobs that an answer or event has brought, for `request_frame`."""
    text = frame.result if isinstance(frame.event, UnsetType) else frame.event
    if isinstance(text, UnsetType):
        return []
    try:
        jobs = _jobs_decoder.decode(text).jobs
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    return [
        written(RELEASE, ReleaseRequest(worker_id=worker_id, lease=job.lease), job.job_id)
        for job in jobs
    ]


def parse_frame(text: bytes) -> Frame:
    """An answer. Raises `TransportRequestError` for what is none."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        excerpt = text[:200].decode(errors="replace")
        raise TransportRequestError(f"a frame that is no answer ({error}): {excerpt}") from error


def read_result(operation: Operation, frame: Frame) -> Answer:
    """The answer of ``operation``; raises the error that it is instead."""
    if not frame.ok:
        raise resting_on(_error(operation, frame.error), frame.commit)
    position = parse_position(frame.commit)
    if operation.answer is None:
        return Answer(None, position)
    value = _decoded(operation, frame.result)
    return Answer(_payload(value) if operation.answer is Raw else value, position)


def read_event(operation: Operation, frame: Frame) -> Any:
    """What a stream has brought, or ``None``; raises the error that it has ended by."""
    if frame.ok is not None:
        if not frame.ok:
            raise _error(operation, frame.error)
        return None
    return None if isinstance(frame.event, UnsetType) else _decoded(operation, frame.event)


def _decoded(operation: Operation, text: Raw | UnsetType) -> Any:
    try:
        return _DECODERS[operation.name].decode(b"" if isinstance(text, UnsetType) else text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TransportRequestError(
            f"{operation.name}: an answer that cannot be read: {error}",
            status=200,
            method=operation.name,
        ) from error


def _payload(answer: PayloadAnswer) -> Raw | None:
    """A payload, copied: it must not keep the frame in memory."""
    return None if isinstance(answer.payload, UnsetType) else Raw(bytes(answer.payload))


def _error(operation: Operation, body: ErrorBody | None) -> OsqueueError:
    if body is None:
        return TransportRequestError(
            f"{operation.name}: an error that says nothing", status=500, method=operation.name
        )
    status = HTTP_STATUS.get(body.tag, 500)
    return error_from_body(body, status=status, method=operation.name)
