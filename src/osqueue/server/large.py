"""The routes of large payloads: the body is the payload itself.

Laws: a body is read only when there is room for all of it, and until then its sender waits; it is
judged and stored without holding up the loop.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from starlette.types import Receive, Scope, Send

from osqueue.broker.service import DEFAULT_QUEUE, QueueService
from osqueue.config import ServerSettings
from osqueue.engine.callers import CallerGoneError
from osqueue.errors import BrokerProtocolError, OsqueueError
from osqueue.server.connection import connection_of
from osqueue.server.door.entrance import principal_of
from osqueue.server.http import (
    Headers,
    check_json,
    commit_header,
    describe,
    headers_of,
    query_fields,
    respond,
    respond_json,
    wants_consistent,
)
from osqueue.server.pieces import respond_pieces
from osqueue.wire.messages import JobId
from osqueue.wire.operations import PutQuery

__all__ = ["GetPayload", "PutJob"]

CHUNK_BYTES: Final = 64 * 1024
"""What is kept in one piece: a body that comes byte by byte must not take fifty times its size."""

_SPACE: Final = b" \t\r\n"
_encode = msgspec.json.Encoder().encode


class PutJob:
    """An ASGI application for `PUT /v1/jobs/{jobId}`."""

    def __init__(self, service: QueueService, settings: ServerSettings) -> None:
        self._service = service
        self._max = settings.payload_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        job_id = _job_id(scope)
        query = _put_query(scope["query_string"])
        check_json(headers)
        try:
            share = await self._service.room_for(DEFAULT_QUEUE, self._size(scope, headers))
        except OsqueueError:
            await self._drain(receive, more=True)
            raise
        with share:
            text = await self._read(scope, receive)
            reply = await self._service.submit_text(DEFAULT_QUEUE, job_id, query, text)
        await respond_json(send, _encode(reply.value), headers=commit_header(reply.position))

    def _size(self, scope: Scope, headers: Headers) -> int:
        """How much room the body takes; one of unknown length may be as large as allowed."""
        length = headers.get(b"content-length", b"")
        size = int(length) if length.isdigit() else self._max
        if size > self._max:
            raise self._too_large(scope)
        return size

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        """The body without the space around it."""
        chunks: list[bytes] = []
        small = bytearray()
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise CallerGoneError
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            more = message.get("more_body", False)
            if size > self._max:
                await self._drain(receive, more=more)
                raise self._too_large(scope)
            small += chunk if chunks or small else chunk.lstrip(_SPACE)
            if len(small) >= CHUNK_BYTES or (small and not more):
                chunks.append(bytes(small))
                small.clear()
        while chunks and not chunks[-1].rstrip(_SPACE):
            chunks.pop()
        if not chunks:
            raise BrokerProtocolError("the request has no body; it must be the payload, as JSON")
        chunks[-1] = chunks[-1].rstrip(_SPACE)
        return await asyncio.to_thread(b"".join, chunks)

    async def _drain(self, receive: Receive, *, more: bool) -> None:
        """Drop what still comes, within reason: who is still sending would not see the answer."""
        dropped = 0
        while more and dropped <= self._max:
            message = await receive()
            dropped += len(message.get("body", b""))
            more = message.get("more_body", False)

    def _too_large(self, scope: Scope) -> BrokerProtocolError:
        return BrokerProtocolError(
            f"the payload is larger than {self._max} bytes ({scope['path']}); the broker's "
            "--max-payload-bytes (BROKER_MAX_PAYLOAD_BYTES) sets the limit",
            status=413,
        )


class GetPayload:
    """An ASGI application for `GET /v1/jobs/{jobId}/payload`."""

    def __init__(self, service: QueueService, settings: ServerSettings) -> None:
        self._service = service
        self._stall_s = settings.send_s_max

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        principal_of(scope).expect_payloads()
        job_id: str = scope["path_params"]["jobId"]
        consistent = wants_consistent(scope["query_string"])
        reply = await self._service.get_payload(DEFAULT_QUEUE, job_id, consistent=consistent)
        headers = commit_header(reply.position)
        if reply.value is None:
            await respond(send, 204, headers=headers)
            return
        try:
            await respond_pieces(
                send,
                [memoryview(reply.value)],
                headers=headers,
                connection=connection_of(scope),
                stall_s=self._stall_s,
            )
        finally:
            if reply.sent is not None:
                reply.sent()


def _job_id(scope: Scope) -> str:
    try:
        job_id: str = msgspec.convert(scope["path_params"]["jobId"], JobId)
    except msgspec.ValidationError as error:
        raise BrokerProtocolError(f"the job id in the path is invalid: {error}") from error
    return job_id


def _put_query(query: bytes) -> PutQuery:
    try:
        return msgspec.convert(query_fields(query), PutQuery, strict=False)
    except msgspec.ValidationError as error:
        raise BrokerProtocolError(describe(error)) from error
