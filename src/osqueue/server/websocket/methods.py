"""The methods of the WebSocket: every operation by its name, and what the older clients call.

The fields of ``params`` are those of the operation's message, and beside them ``jobId`` where REST
names the job in the path.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta, Raw

from osqueue.broker.dispatch import Call
from osqueue.config import JOB_ID_CHARS_MAX, ROOMY_BYTES, ServerSettings
from osqueue.errors import BrokerProtocolError, JobNotFoundError
from osqueue.server.http import decode_json
from osqueue.server.websocket.envelope import Asking
from osqueue.wire import operations as ops
from osqueue.wire.messages import ClaimRequest, SubmitRequest
from osqueue.wire.operations import (
    EndedQuery,
    JobQuery,
    ListQuery,
    Operation,
    SchedulesQuery,
    StatusQuery,
)

__all__ = ["CANCEL", "METHODS", "Cancel", "Method", "wait_ms", "weight"]

JOBS_PER_REQUEST: Final = 16
"""An answer of so many jobs, or their payloads, counts as one request more that is under way."""

_EMPTY: Final = b"{}"


class Cancel(msgspec.Struct):
    """What `cancel` takes: the id of a stream or of what waits, written as it was there."""

    id: Raw


class Method(NamedTuple):
    """One method. ``operation``: ``None`` for `cancel`, which is of this transport alone."""

    name: str
    operation: Operation | None
    decoder: msgspec.json.Decoder[Any]
    one: bool = False
    """Of a claim: whether it asks for one job, and is answered by it, rather than by a list."""

    @property
    def streams(self) -> bool:
        """Whether it opens a stream."""
        return self.operation in (ops.SUBSCRIBE, ops.STREAM_JOBS, ops.WATCH_OVERVIEW)

    def read(self, asking: Asking, size: int, settings: ServerSettings) -> Call:
        """What is asked for. Raises what is wrong with it. ``size``: bytes of the message."""
        if size > ROOMY_BYTES:
            self._check_size(size, settings)
        message: Any = asking.params
        if not isinstance(message, SubmitRequest):
            message = decode_json(message, self.decoder, what="`params`")
        asking.params = _EMPTY  # it may be kept for long
        call = Call(message, size=size)
        operation = self.operation
        if operation is None:
            return call
        if operation.on_one_job:
            call.job_id = _checked_id(message.job_id)
        if self.one:
            message.max = None
        if size > ROOMY_BYTES:
            _check_payload(message, settings)
        return call

    def _check_size(self, size: int, settings: ServerSettings) -> None:
        if self.operation is not ops.SUBMIT and size > settings.body_bytes_max:
            limit = settings.body_bytes_max
            message = f"a message is larger than {limit} bytes; only those of submitJob may be"
            raise BrokerProtocolError(message, status=413)


def weight(message: object) -> int:
    """As how many requests one counts, by what its answer may keep in memory."""
    match message:
        case (
            ListQuery(limit=jobs)
            | EndedQuery(limit=jobs)
            | SchedulesQuery(limit=jobs)
            | ClaimRequest(max=int(jobs))
        ):
            return 1 + jobs // JOBS_PER_REQUEST
        case _:
            return 1


def wait_ms(message: object) -> int:
    """For how long an answer may be kept back on purpose."""
    match message:
        case ClaimRequest(wait_ms=ms) | StatusQuery(wait_ms=ms) | JobQuery(wait_ms=ms):
            return ms
        case _:
            return 0


def _checked_id(job_id: str) -> str:
    if len(job_id) > JOB_ID_CHARS_MAX:
        raise JobNotFoundError(f"there is no job of such an id: {job_id[:JOB_ID_CHARS_MAX]}…")
    return job_id


def _check_payload(message: SubmitRequest, settings: ServerSettings) -> None:
    if isinstance(message.payload, Raw) and len(message.payload) > settings.payload_bytes_max:
        raise BrokerProtocolError(
            f"the payload is larger than {settings.payload_bytes_max} bytes; the broker's "
            "--max-payload-bytes (BROKER_MAX_PAYLOAD_BYTES) sets the limit",
            status=413,
        )


def _params(operation: Operation) -> type:
    """What ``params`` are: the operation's message, and what REST says elsewhere."""
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    if operation.on_one_job:
        fields.append(("job_id", Annotated[str, Meta(min_length=1)]))
    base = operation.request or msgspec.Struct
    if not fields:
        return base
    return msgspec.defstruct(
        f"{operation.name}Params", fields, bases=(base,), kw_only=True, rename="camel"
    )


def _method(operation: Operation) -> Method:
    return Method(operation.name, operation, msgspec.json.Decoder(_params(operation)))


CANCEL: Final = Method("cancel", None, msgspec.json.Decoder(Cancel))
"""Ends a stream, a waiting claim, or a wait for a job's end."""

METHODS: Final = MappingProxyType(
    {
        operation.name: _method(operation)
        for operation in (*ops.OPERATIONS, *ops.STREAMS, *ops.FOR_PAGES, *ops.PAGE_STREAMS)
        if operation is not ops.SUBMIT_LARGE  # a job is submitted alike, however large
    }
    | {
        "claimJob": Method("claimJob", ops.CLAIM, msgspec.json.Decoder(ClaimRequest), one=True),
        CANCEL.name: CANCEL,
    }
)
"""By the name that a message says."""
