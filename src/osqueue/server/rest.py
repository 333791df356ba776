"""The REST routes, made from the table of operations."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import asdict
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from osqueue.broker.dispatch import BROKER_HANDLERS, Call, Handler, one_job
from osqueue.broker.service import QueueService, Reply
from osqueue.config import JOB_ID_CHARS_MAX, KIB, ServerSettings
from osqueue.engine.callers import Caller
from osqueue.errors import BrokerProtocolError, JobNotFoundError
from osqueue.server.connection import Connection, connection_of
from osqueue.server.door.auth import Doorkeeper, Principal
from osqueue.server.door.entrance import Entrance, principal_of
from osqueue.server.http import (
    Headers,
    commit_header,
    decode_body,
    describe,
    headers_of,
    query_fields,
    read_body,
    respond,
    respond_json,
    wants_consistent,
)
from osqueue.server.large import GetPayload, PutJob
from osqueue.server.pieces import (
    Pieces,
    claim_pieces,
    is_large,
    job_pieces,
    page_pieces,
    respond_pieces,
)
from osqueue.wire import operations as ops
from osqueue.wire.messages import ClaimAnswer, ClaimedJob, JobsPage
from osqueue.wire.operations import Operation
from osqueue.wire.schedules import ScheduleName

__all__ = ["rest_routes"]

Answer: TypeAlias = Reply[Any]
UNREAD_BYTES_MAX: Final = 16 * KIB
"""Largest body where none is looked at; the status is told to anybody, who need not be kept a MiB
for."""

_encode = msgspec.json.Encoder().encode


class Request:
    """One request, as the routes see it."""

    __slots__ = ("_scope", "body", "headers", "job_id", "query", "schedule")

    def __init__(self, scope: Scope, body: bytes) -> None:
        self._scope = scope
        self.headers: Headers = headers_of(scope)
        self.body = body
        named = scope.get("path_params", {})
        self.job_id: str = named.get("jobId", "")
        self.schedule: str = named.get("name", "")
        self.query: bytes = scope["query_string"]

    @property
    def principal(self) -> Principal:
        """Who calls."""
        return principal_of(self._scope)

    @property
    def connection(self) -> Connection:
        """Tells when the caller goes away."""
        return connection_of(self._scope)


class Endpoint:
    """An ASGI application for one operation."""

    def __init__(
        self,
        operation: Operation,
        handler: Handler,
        *,
        service: QueueService,
        settings: ServerSettings,
    ) -> None:
        self._operation = operation
        self._handler = handler
        self._service = service
        self._stall_s = settings.send_s_max
        self._is_read = operation.verb == "GET" and operation.role is not None
        self._takes_body = operation.takes_body
        self._body_max = settings.body_bytes_max if self._takes_body else UNREAD_BYTES_MAX
        body = operation.body or operation.request
        self._decoder = msgspec.json.Decoder(body if self._takes_body else object)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(scope, receive, self._body_max)
        request = Request(scope, body)
        if self._operation.on_one_job:
            _check_job_id(request.job_id)
        reply = await self._answer(request)
        try:
            await self._respond(reply, request, send)
        finally:
            if reply.sent is not None:
                reply.sent()

    async def _answer(self, request: Request) -> Answer:
        call = Call(self._message(request), request.job_id, len(request.body))
        call.hides_payloads = self._is_read and not request.principal.sees_payloads
        if self._operation.name not in ops.WAITING:
            return await self._handler(self._service, call)
        call.caller = Caller()
        connection = request.connection
        connection.on_lost = call.caller.leave
        try:
            with request.principal.waiting(call.caller, self._operation.role):
                reply = await self._handler(self._service, call)
        finally:
            connection.on_lost = None
        claims_one = self._operation is ops.CLAIM and call.message.max is None
        return one_job(reply) if claims_one else reply

    def _message(self, request: Request) -> Any:
        if self._operation.on_one_schedule:
            return self._on_schedule(request)
        if self._takes_body:
            return decode_body(request.body, request.headers, self._decoder)
        if self._operation.verb == "GET" and self._operation.request is not None:
            return _query(request.query, self._operation.request)
        return None

    def _on_schedule(self, request: Request) -> Any:
        """The body with the name of the path; where all of the body may be left out, it may be."""
        said: dict[str, Any] = {}
        if request.body if self._operation is ops.RUN_SCHEDULE else self._takes_body:
            said = asdict(decode_body(request.body, request.headers, self._decoder))
        try:
            name = msgspec.convert(request.schedule, ScheduleName)
        except msgspec.ValidationError as error:
            raise BrokerProtocolError(f"the name of the schedule: {error}") from error
        return self._operation.request(name=name, **said)

    async def _respond(self, reply: Answer, request: Request, send: Send) -> None:
        position = commit_header(reply.position)
        if reply.value is None:
            await respond(send, 204, headers=position)
            return
        if not is_large(reply.value):
            await respond_json(send, _encode(reply.value), headers=position)
            return
        await respond_pieces(
            send,
            await _pieces(reply.value),
            headers=position,
            connection=request.connection,
            stall_s=self._stall_s,
        )


async def _pieces(value: ClaimedJob | ClaimAnswer | JobsPage) -> Pieces:
    match value:
        case ClaimedJob():
            return job_pieces(value)
        case ClaimAnswer():
            return claim_pieces(value)
        case JobsPage():
            return await page_pieces(value)


def rest_routes(service: QueueService, settings: ServerSettings, door: Doorkeeper) -> list[Route]:
    """A route per operation, exact paths first; what asks for no role is open to everybody."""
    routes = []
    table = (*ops.OPERATIONS, *ops.FOR_PAGES)
    for operation in sorted(table, key=lambda operation: operation.on_one_job):
        endpoint = _endpoint(operation, service, settings)
        if operation.role is not None:
            endpoint = Entrance(endpoint, door, operation.role)
        routes.append(
            Route(operation.path, endpoint, methods=[operation.verb], name=operation.name)
        )
    return routes


def _endpoint(operation: Operation, service: QueueService, settings: ServerSettings) -> ASGIApp:
    if operation is ops.SUBMIT_LARGE:
        return PutJob(service, settings)
    if operation is ops.GET_PAYLOAD:
        return GetPayload(service, settings)
    return Endpoint(operation, BROKER_HANDLERS[operation.name], service=service, settings=settings)


def _check_job_id(job_id: str) -> None:
    if len(job_id) > JOB_ID_CHARS_MAX:
        raise JobNotFoundError(f"there is no job of such an id: {job_id[:JOB_ID_CHARS_MAX]}…")


def _query(query: bytes, kind: type[msgspec.Struct]) -> msgspec.Struct:
    if not query:
        return kind()
    fields: dict[str, Any] = {**query_fields(query), "consistent": wants_consistent(query)}
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BrokerProtocolError(describe(error)) from error
