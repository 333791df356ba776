"""Connect and gRPC-Web on the HTTP port, in JSON and in Protocol Buffers.

`connectrpc` speaks the protocols. Around it stand the door, the reading of bodies (`bodies`) and
the sending of answers (`answers`); what a method means is said by `answerer`.

Laws: nothing of a request is read before its caller is admitted; every error that is ours carries
its tag as a `google.rpc.ErrorInfo`, in the shape of the caller's protocol; a claim whose caller
goes away while it waits gives its jobs back; `Reply.sent` is called whatever becomes of the answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, TypeAlias, cast

from connectrpc.code import Code
from connectrpc.codec import proto_binary_codec, proto_json_codec
from connectrpc.compression import Compression
from connectrpc.compression.brotli import BrotliCompression
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.server import ConnectASGIApplication, Endpoint
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from osqueue.broker.service import QueueService
from osqueue.config import RPC_BODIES_BYTES_MAX, RPC_BODIES_WAIT_MS, ServerSettings
from osqueue.engine.callers import Caller, CallerGoneError
from osqueue.engine.room import Room
from osqueue.errors import BrokerProtocolError, OsqueueError
from osqueue.server.connection import connection_of
from osqueue.server.door.auth import Doorkeeper
from osqueue.server.door.entrance import enter
from osqueue.server.door.origins import HeaderPairs
from osqueue.server.http import Headers, headers_of
from osqueue.server.rpc.abundance import expect_few_objects, expect_few_parts
from osqueue.server.rpc.answerer import PUSHED, UNARY, Answerer, Served
from osqueue.server.rpc.answers import GrpcAnswer, Outlet, StreamAnswer, UnaryAnswer
from osqueue.server.rpc.bodies import ENVELOPE_BYTES, Bounds, OneGzip, read_message
from osqueue.server.rpc.connect_visits import (
    Context,
    Reception,
    Visit,
    VisitCodec,
    connect_error,
    name_commit,
)
from osqueue.server.rpc.headers import (
    check_timeouts,
    compressed_by,
    is_enveloped,
    is_grpc,
    is_plain_grpc,
    is_text,
    kept,
    length_of_body,
)
from osqueue.server.rpc.messages import decode, encode, is_large
from osqueue.server.rpc.streams import MessageStream
from osqueue.server.telemetry.observed_http import counted
from osqueue.server.telemetry.observing import Observed
from osqueue.wire.errors import error_info
from osqueue.wire.methods import SERVICE

__all__ = ["ConnectPort"]

CONNECT: Final = "connect"
GRPC_WEB: Final = "grpc-web"
"""What metrics and logs call these transports."""

Endpoints: TypeAlias = Mapping[str, Any]


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
        self._visit: ContextVar[Visit] = ContextVar("osqueue.visit")
        application = _Application(
            service={path: self._endpoint(method) for path, method in self._methods.items()},
            endpoints=_as_they_are,
            interceptors=[Reception(self._visit)],
            read_max_bytes=None,  # bounded before it is handed on
            compressions=(),
            codecs=[
                VisitCodec(each, self._visit) for each in (proto_binary_codec(), proto_json_codec())
            ],
        )
        self._app = cast("ASGIApp", application)  # typed by asgiref where that is installed

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
            await self._respond(Visit(method, connection_of(scope), seen), scope, receive, send)

    async def _respond(self, visit: Visit, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        extra = self._receive_caller(visit, scope, headers)
        visit.text = is_text(headers)
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

    def _receive_caller(self, visit: Visit, scope: Scope, headers: Headers) -> HeaderPairs:
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
            visit.refusal = connect_error(error)
        return extra

    def _compression(self, visit: Visit, headers: Headers) -> Compression | None:
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
        self, visit: Visit, receive: Receive, headers: Headers, compression: Compression | None
    ) -> Message:
        """The request's body, and then whatever comes: that the caller has gone."""
        if not visit.unread:
            return await receive()
        visit.unread = False
        body, visit.share = await read_message(
            receive,
            Bounds(
                self._answerer.bytes_max(visit.method, as_text=visit.text),
                length_of_body(headers),
                self._room,
                partial(self._answerer.too_large, visit.method),
            ),
            compression=compression,
            enveloped=is_enveloped(headers),
        )
        if is_text(headers):
            expect_few_objects(body)
        else:
            expect_few_parts(body, ENVELOPE_BYTES if is_enveloped(headers) else 0)
        visit.size = len(body)
        stand_in = visit.take_message(body, enveloped=is_enveloped(headers))
        return {"type": "http.request", "body": stand_in, "more_body": False}

    def _answer(
        self, visit: Visit, headers: Headers, extra: HeaderPairs, send: Send
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

    async def _serve(self, method: Served, visit: Visit, context: Context) -> Any:
        asked = self._answerer.read(method, await _decoded(visit), visit.size)
        reply = await self._answerer.answer(
            method, asked, size=visit.size, caller=Caller(), principal=visit.principal
        )
        visit.sent = reply.sent
        if is_large(reply.value):
            visit.encoded = await encode(reply.value, as_text=visit.text)
        visit.undo = partial(self._answerer.give_back, method, asked, reply.value)
        name_commit(context, reply.position)
        return reply.value

    async def _push(self, method: Served, visit: Visit, _context: Context) -> AsyncIterator[Any]:
        assert visit.principal is not None, "streams are not open to everybody"
        stream = MessageStream(self._service, method, visit.principal)
        try:
            stream.begin(await _decoded(visit), visit.size)
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


async def _decoded(visit: Visit) -> Any:
    """What was asked, whose bytes are kept no longer."""
    data, visit.message = visit.message or b"", None
    return await decode(visit.method.request, data, as_text=visit.text)


def _as_they_are(endpoints: Endpoints) -> Endpoints:
    return endpoints
