"""A client's way to a service in the same process: no socket, the same rules.

Requests are held to the limits of their fields as a server holds them, and a caller that goes away
while it claims gives the jobs back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

import msgspec
from msgspec import UNSET

from osqueue.broker.dispatch import HANDLERS, STREAM_HANDLERS, Call, Handler
from osqueue.broker.service import DEFAULT_QUEUE, QueueService, Reply
from osqueue.client.transports.protocol import Answer, Position
from osqueue.config import JOB_ID_CHARS_MAX, ServerSettings
from osqueue.engine.callers import Caller
from osqueue.errors import (
    BrokerProtocolError,
    JobNotFoundError,
    OsqueueError,
    TransportConfigError,
    TransportConnectionError,
)
from osqueue.wire.errors import http_status
from osqueue.wire.messages import JobId, SubmitRequest
from osqueue.wire.operations import CLAIM, GET_PAYLOAD, SUBMIT_LARGE, Operation, PutQuery

__all__ = ["InProcessTransport"]

PAYLOADS_S: Final = 64
"""Time that large payloads get on their way to or from the store, beyond the caller's own."""

_WITH_PAYLOADS: Final = frozenset({CLAIM.name, GET_PAYLOAD.name, SUBMIT_LARGE.name})
_encode = msgspec.json.Encoder().encode


class InProcessTransport:
    """Calls ``service`` on the loop that it runs on. It is not this transport's to stop.

    What the service raises is an answer as any broker's: ``remote``, with its status.
    """

    def __init__(
        self,
        service: QueueService,
        settings: ServerSettings | None = None,
        *,
        handlers: Mapping[str, Handler] = HANDLERS,
    ) -> None:
        self._service = service
        self._handlers = handlers
        self._payload_max = (settings or ServerSettings()).payload_bytes_max
        self._closed = False

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        if self._closed:
            raise TransportConfigError("this client is closed; make a new one")
        patience_s = timeout_s + (PAYLOADS_S if operation.name in _WITH_PAYLOADS else 0)
        try:
            async with asyncio.timeout(patience_s):
                reply = await self._reply(operation, request, job_id)
        except TimeoutError as error:
            message = f"{operation.name}: no answer of the store within {patience_s:g} s"
            raise TransportConnectionError(message) from error
        except TransportConfigError:
            raise
        except OsqueueError as error:
            raise _answered(operation, error) from None
        if reply.sent is not None:
            reply.sent()
        return Answer(reply.value, None if reply.position is None else Position(*reply.position))

    async def stream(
        self, operation: Operation, request: msgspec.Struct, *, timeout_s: float
    ) -> AsyncGenerator[Any, None]:
        del timeout_s  # nothing is to be reached
        if self._closed:
            raise TransportConfigError("this client is closed; make a new one")
        try:
            message, size = _checked(operation, request)
            call = Call(message, size=size, caller=Caller())
            pushed = STREAM_HANDLERS[operation.name](self._service, call)
            async with aclosing(pushed):
                async for each in pushed:
                    yield _said(each)
        except OsqueueError as error:
            raise _answered(operation, error) from None

    async def reconnect(self) -> None:
        """There is no connection that could be dropped."""

    async def close(self) -> None:
        self._closed = True

    async def _reply(
        self, operation: Operation, request: msgspec.Struct | None, job_id: str | None
    ) -> Reply[Any]:
        if operation.on_one_job:
            job_id = _checked_id(operation, job_id)
        if operation.name == SUBMIT_LARGE.name:
            return await self._submit_large(request, job_id)
        if operation.name not in self._handlers:
            raise TransportConfigError(f"{operation.name}: there is no broker to do this")
        message, size = _checked(operation, request)
        return await self._handlers[operation.name](
            self._service, Call(message, job_id or "", size)
        )

    async def _submit_large(self, request: Any, job_id: str | None) -> Reply[Any]:
        assert isinstance(request, SubmitRequest), "what the operation takes"
        text = b"null" if request.payload is UNSET else bytes(request.payload)
        if len(text) > self._payload_max:
            raise BrokerProtocolError(f"the payload is larger than {self._payload_max} bytes")
        try:
            query = msgspec.convert(msgspec.to_builtins(PutQuery.of(request)), PutQuery)
            name: str = msgspec.convert(job_id, JobId)
        except msgspec.ValidationError as error:
            raise BrokerProtocolError(f"invalid request: {error}") from error
        with await self._service.room_for(DEFAULT_QUEUE, len(text)):
            return await self._service.submit_text(DEFAULT_QUEUE, name, query, text)


def _said(pushed: Any) -> Any:
    """What was pushed: an update, or the answer to a claim."""
    if not isinstance(pushed, Reply):
        return pushed
    if pushed.sent is not None:
        pushed.sent()
    return pushed.value


def _answered(operation: Operation, error: OsqueueError) -> OsqueueError:
    """The same error, as one that a broker has answered with."""
    error.status, error.method = http_status(error), operation.name
    return error


def _checked_id(operation: Operation, job_id: str | None) -> str:
    if not job_id:
        raise BrokerProtocolError(f"{operation.name}: the job id is empty")
    if len(job_id) > JOB_ID_CHARS_MAX:
        raise JobNotFoundError(f"there is no job of such an id: {job_id[:JOB_ID_CHARS_MAX]}…")
    return job_id


def _checked(operation: Operation, request: msgspec.Struct | None) -> tuple[Any, int]:
    """The request as a server would have read it, and how many bytes it takes."""
    if request is None:
        return None, 0
    try:
        text = _encode(request)
        return msgspec.json.decode(text, type=operation.request), len(text)
    except UnicodeEncodeError as error:
        raise BrokerProtocolError(f"{operation.name}: not a Unicode text: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokerProtocolError(f"{operation.name}: invalid request: {error}") from error
