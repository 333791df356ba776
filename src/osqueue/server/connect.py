"""Connect and gRPC-Web on the HTTP port, in JSON and in Protocol Buffers.

`connectrpc` speaks the protocols. Around it stand the door, the reading of bodies (`bodies`) and
the sending of answers (`rpc_answers`); what a method means is said by `rpc`.

Laws: nothing of a request is read before its caller is admitted; every error that is ours carries
its tag as a `google.rpc.ErrorInfo`, in the shape of the caller's protocol; a claim whose caller
goes away while it waits gives its jobs back; `Reply.sent` is called whatever becomes of the answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, TypeAlias

from connectrpc.code import Code
from connectrpc.compression import Compression
from connectrpc.compression.brotli import BrotliCompression
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from starlette.types import Message, Receive, Scope, Send

from osqueue.broker.service import QueueService
from osqueue.config import RPC_BODIES_BYTES_MAX, RPC_BODIES_WAIT_MS, ServerSettings
from osqueue.engine.callers import Caller, CallerGoneError
from osqueue.engine.room import Room, Share
from osqueue.errors import BrokerProtocolError, OsqueueError
from osqueue.server.auth import Doorkeeper, Principal
from osqueue.server.bodies import Bounds, OneGzip, read_message
from osqueue.server.connection import Connection, connection_of
from osqueue.server.entrance import enter
from osqueue.server.http import Headers, commit_header, headers_of
from osqueue.server.observed_http import counted
from osqueue.server.observing import Observed, SeenRequest
from osqueue.server.origins import HeaderPairs
from osqueue.server.rpc import PUSHED, UNARY, Answerer, Served
from osqueue.server.rpc_answers import GrpcAnswer, Outlet, StreamAnswer, UnaryAnswer
from osqueue.server.rpc_headers import (
    check_timeouts,
    compressed_by,
    is_enveloped,
    is_grpc,
    is_plain_grpc,
    is_text,
    kept,
    length_of_body,
)
from osqueue.server.rpc_streams import MessageStream
from osqueue.wire.errors import error_info, rpc_code
from osqueue.wire.methods import SERVICE

__all__ = ["ConnectPort"]

CONNECT: Final = "connect"
GRPC_WEB: Final = "grpc-web"
"""What metrics and logs call these transports."""

Context: TypeAlias = RequestContext[Any, Any]
Endpoints: TypeAlias = Mapping[str, Any]

_OWN_WORDS: Final = {
    Code.INVALID_ARGUMENT: 400,
    Code.UNIMPLEMENTED: 501,
    Code.RESOURCE_EXHAUSTED: 413,
    Code.INTERNAL: 400,
}
"""What `connectrpc` itself finds wrong with a request, and the status that REST would give it."""


class _Visit:
    """One request: what is known of it beside its message."""

    __slots__ = (
        "begin",
        "connection",
        "method",
        "principal",
        "refusal",
        "seen",
        "sent",
        "share",
        "size",
        "undo",
        "unread",
    )

    def __init__(self, method: Served, connection: Connection, seen: SeenRequest) -> None:
        self.method = method
        self.connection = connection
        self.seen = seen
        self.refusal: ConnectError | None = None
        self.size = 0
        self.share: Share | None = None
        self.principal: Principal | None = None
        self.begin: Callable[[], Awaitable[None]] = _nothing
        """Sends the head of a stream's answer."""
        self.sent: Callable[[], None] | None = None
        self.undo: Callable[[], None] = _nothing_to_undo
        """For an answer of which nothing was sent."""
        self.unread = True

    def close(self, *, delivered: bool) -> None:
        """The answer has been sent, or could not be."""
        if not delivered:
            self.undo()
        if self.sent is not None:
            self.sent()
        if self.share is not None:
            self.share.give_back()


class ConnectPort:
    """An ASGI application for the paths in `paths`."""

    def __init__(
        self,
        service: QueueService,
        settings: ServerSettings,
        door: Doorkeeper,
        observed: Observed,
    ) -> None:
        self._observed = observed.over(CONNECT)
        self._observed_web = observed.over(GRPC_WEB)
        self._service = service
        self._answerer = Answerer(service, settings)
        self._settings = settings
        self._door = door
        self._room = Room(RPC_BODIES_BYTES_MAX, wait_ms=RPC_BODIES_WAIT_MS, what="requests")
        self._methods = {method.path: method for method in (*UNARY, *PUSHED)}
        self._compressions: dict[bytes, Compression] = {
            each.name().encode(): each for each in (OneGzip(), BrotliCompression())
        }
        self._visit: ContextVar[_Visit] = ContextVar("osqueue.visit")
        self._app = _Application(
            service={path: self._endpoint(method) for path, method in self._methods.items()},
            endpoints=_as_they_are,
            interceptors=[_Reception(self._visit)],
            read_max_bytes=None,  # bounded before it is handed on
            compressions=(),
        )

    @property
    def paths(self) -> frozenset[str]:
        """What is answered here."""
        return frozenset(self._methods)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = self._methods[scope["path"]]
        web = is_grpc(headers_of(scope))
        with (self._observed_web if web else self._observed).request(method.operation.name) as seen:
            if self._observed.detailed:
                receive, send = counted(seen, scope, receive, send)
            await self._respond(_Visit(method, connection_of(scope), seen), scope, receive, send)

    async def _respond(self, visit: _Visit, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        extra = self._receive_caller(visit, scope, headers)
        compression = self._compression(visit, headers)
        message = partial(self._message, visit, receive, headers, compression)
        answer = self._answer(visit, headers, extra, send)
        token = self._visit.set(visit)
        try:
            await self._app({**scope, "headers": kept(headers)}, message, answer)
        except (ConnectError, CallerGoneError):
            return  # there is nobody to be told
        finally:
            self._visit.reset(token)
            visit.close(delivered=answer.delivered)

    def _receive_caller(self, visit: _Visit, scope: Scope, headers: Headers) -> HeaderPairs:
        """What a browser is told; whoever is not admitted is refused once there is a protocol."""
        extra: HeaderPairs = ()
        try:
            extra = self._door.check_page(headers)
            if visit.method.role is not None:
                visit.principal = enter(scope, self._door)
                visit.principal.check(visit.method.role)
            check_timeouts(headers)
        except OsqueueError as error:
            visit.seen.failed(error)
            visit.refusal = _connect_error(error)
        return extra

    def _compression(self, visit: _Visit, headers: Headers) -> Compression | None:
        name = compressed_by(headers)
        if name is None:
            return None
        found = self._compressions.get(name)
        if found is None and visit.refusal is None:
            visit.refusal = self._unknown_compression(name)
        return found

    def _unknown_compression(self, name: bytes) -> ConnectError:
        known = b",".join(self._compressions).decode()
        shown = name.decode("latin-1")
        message = f'unknown compression "{shown}": supported encodings are {known}'
        error = BrokerProtocolError(message, status=501)
        return ConnectError(Code.UNIMPLEMENTED, message, [error_info(error)])

    async def _message(
        self, visit: _Visit, receive: Receive, headers: Headers, compression: Compression | None
    ) -> Message:
        """The request's body, and then whatever comes: that the caller has gone."""
        if not visit.unread:
            return await receive()
        visit.unread = False
        body, visit.share = await read_message(
            receive,
            Bounds(
                self._answerer.bytes_max(visit.method, as_text=is_text(headers)),
                length_of_body(headers),
                self._room,
                partial(self._answerer.too_large, visit.method),
            ),
            compression=compression,
            enveloped=is_enveloped(headers),
        )
        visit.size = len(body)
        return {"type": "http.request", "body": body, "more_body": False}

    def _answer(
        self, visit: _Visit, headers: Headers, extra: HeaderPairs, send: Send
    ) -> UnaryAnswer | StreamAnswer | GrpcAnswer:
        outlet = Outlet(send, extra, visit.connection, self._settings.send_s_max)
        if not is_enveloped(headers):
            return UnaryAnswer(outlet, accepted=headers.get(b"accept-encoding", b""))
        kind = GrpcAnswer if is_plain_grpc(headers) else StreamAnswer
        answer = kind(outlet, kind=headers[b"content-type"])
        visit.begin = answer.begin
        return answer

    def _endpoint(self, method: Served) -> Endpoint[Any, Any]:
        streams = method.serve is None
        info = MethodInfo(
            name=method.name,
            service_name=SERVICE,
            input=method.request,
            output=method.answer,
            idempotency_level=IdempotencyLevel.UNKNOWN,
            stream_type=StreamType.SERVER_STREAM if streams else StreamType.UNARY,
        )
        if streams:
            return Endpoint.server_stream(info, partial(self._push, method))
        return Endpoint.unary(info, partial(self._serve, method))

    async def _serve(self, method: Served, request: Any, context: Context) -> Any:
        visit = self._visit.get()
        answering = self._answerer.answer(
            method, request, size=visit.size, caller=Caller(), principal=visit.principal
        )
        reply = await answering
        visit.sent = reply.sent
        visit.undo = partial(self._answerer.give_back, method, request, reply.value)
        _name_commit(context, reply.position)
        return reply.value

    async def _push(self, method: Served, request: Any, _context: Context) -> AsyncIterator[Any]:
        visit = self._visit.get()
        assert visit.principal is not None, "streams are not open to everybody"
        stream = MessageStream(self._service, method, visit.principal)
        try:
            stream.begin(request, visit.size)
            await visit.begin()
            async for message in stream:
                yield message
        finally:
            await stream.aclose()


class _Application(ConnectASGIApplication[Endpoints]):
    """`connectrpc` for endpoints that are made from a table."""

    @property
    def path(self) -> str:
        return f"/{SERVICE}"


class _Reception:
    """Refuses before a body is read, and says errors in the words of the protocol."""

    def __init__(self, visit: ContextVar[_Visit]) -> None:
        self._visit = visit

    async def on_start(self, _context: Context) -> None:
        refusal = self._visit.get().refusal
        if refusal is not None:
            raise refusal

    async def on_end(self, _token: None, context: Context, error: Exception | None) -> None:
        visit = self._visit.get()
        match error:
            case OsqueueError():
                visit.seen.failed(error)
                _name_commit(context, error.position)
                raise _connect_error(error) from error
            case ConnectError(code=code) if not error.details and code in _OWN_WORDS:
                ours = BrokerProtocolError(_said(error, visit), status=_OWN_WORDS[code])
                visit.seen.failed(ours)
                code = Code.INVALID_ARGUMENT if code is Code.INTERNAL else code
                raise ConnectError(code, ours.message, [error_info(ours)]) from error
            case ConnectError():  # the deadline has passed, or the caller has gone
                visit.seen.failed(CallerGoneError())


async def _nothing() -> None:
    """An answer that is no stream has no head of its own."""


def _nothing_to_undo() -> None:
    """There is no answer yet."""


def _as_they_are(endpoints: Endpoints) -> Endpoints:
    return endpoints


def _said(error: ConnectError, visit: _Visit) -> str:
    """What `connectrpc` says, with the name of the message that it could not read."""
    kind = visit.method.request.desc().type_name
    return error.message.replace("unmarshal message:", f"cannot decode message {kind}:")


def _connect_error(error: OsqueueError) -> ConnectError:
    return ConnectError(Code(rpc_code(error)), error.message, [error_info(error)])


def _name_commit(context: Context, position: tuple[int, int] | None) -> None:
    for name, value in commit_header(position):
        context.response_headers[name.decode()] = value.decode()
