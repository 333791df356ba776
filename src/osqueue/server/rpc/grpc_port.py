"""gRPC on a port of its own: the same messages and the same answers, by grpc.aio.

Every method is registered as one that takes a stream of requests, and reads one: so the caller is
admitted before anything of a request is read. On the wire that makes no difference.

Laws: as on the other port (`connect`). A call is ended by a status: one whose handler only leaves
is never over for its caller. A silent connection is asked whether anybody is there, and one that is
asked too often, grows too large or never says anything is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any, Final

import grpc
from msgspec import UNSET

from osqueue.broker.reply import Reply
from osqueue.broker.service import QueueService
from osqueue.config import GRPC_PORT, MIB, GrpcSettings, ServerSettings
from osqueue.engine.callers import Caller, CallerGoneError
from osqueue.errors import BrokerProtocolError, ConfigError, OsqueueError, OverloadedError
from osqueue.server.door.auth import Doorkeeper, Principal
from osqueue.server.door.peers import peer_of_grpc
from osqueue.server.door.principal import unauthorized
from osqueue.server.door.tls import ServerTls
from osqueue.server.http_server import bind
from osqueue.server.rpc.abundance import expect_few_parts
from osqueue.server.rpc.answerer import PUSHED, UNARY, Answerer, Served
from osqueue.server.rpc.gathering import Gathering
from osqueue.server.rpc.grpc_extras import Health, Reflection
from osqueue.server.rpc.grpc_refusals import Context, name_commit, refuse
from osqueue.server.rpc.messages import decode, encode
from osqueue.server.rpc.streams import MessageStream
from osqueue.server.telemetry.observing import Observed, SeenRequest
from osqueue.wire.methods import SERVICE, Asked
from osqueue.wire.roles import Needed

__all__ = ["GrpcServer", "open_grpc"]

GRPC: Final = "grpc"
"""What metrics and logs call this transport."""

logger = logging.getLogger("osqueue.server")

GRACE_S: Final = 5
"""How long a stopping server waits for answers still being sent."""

_PASSING: Final = "the token of this call was not known for a moment; ask again"
"""It is known again: otherwise the caller is told that it was revoked."""


def open_grpc(
    service: QueueService,
    settings: ServerSettings,
    door: Doorkeeper,
    *,
    tls: ServerTls | None = None,
    observed: Observed | None = None,
) -> GrpcServer | None:
    """A server on the port that the settings ask for, if they do, and not serving yet.

    Raises `ConfigError` when a port that was asked for cannot be had.
    """
    wanted = settings.grpc_port
    if wanted == 0 or (wanted is UNSET and settings.port == 0):
        return None
    server = GrpcServer(service, settings, door, tls=tls, observed=observed)
    try:
        server.bind(GRPC_PORT if wanted is UNSET else wanted)
    except ConfigError as error:
        if wanted is not UNSET:
            raise
        logger.warning("no gRPC: %s", error.message)
        return None
    return server


class GrpcServer:
    """Serves the service, its health and its description. ``port`` is known once it is bound."""

    def __init__(
        self,
        service: QueueService,
        settings: ServerSettings,
        door: Doorkeeper,
        *,
        tls: ServerTls | None = None,
        observed: Observed | None = None,
    ) -> None:
        self._observed = (observed or Observed(GRPC)).over(GRPC)
        self._settings = settings
        self._door = door
        self._service = service
        self._answerer = Answerer(service, settings)
        self._gathering = Gathering()
        self._health = Health(lambda: service.status().ready, (SERVICE,))
        self._server = grpc.aio.server(
            options=_options(settings), maximum_concurrent_rpcs=settings.grpc.calls_max
        )
        methods = {method.name: self._handler(method) for method in (*UNARY, *PUSHED)}
        reflection = Reflection((SERVICE,), self._let_in)
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(SERVICE, methods),
                *self._health.handlers(),
                *reflection.handlers(),
            )
        )
        self._credentials = None if tls is None else tls.server_credentials()
        self.port = 0

    def bind(self, port: int | None) -> int:
        """Take the port, or any free one. Raises `ConfigError` when it cannot be had."""
        probe = bind(self._settings, port=port or 0, option="--grpc-port")
        free: int = probe.getsockname()[1]
        probe.close()  # gRPC takes one of two families where the other's is taken, and says nothing
        host = self._settings.host
        place = f"[{host}]:{free}" if ":" in host else f"{host}:{free}"
        try:
            if self._credentials is None:
                self.port = self._server.add_insecure_port(place)
            else:
                self.port = self._server.add_secure_port(place, self._credentials)
        except RuntimeError as error:
            raise ConfigError(f"cannot listen on {place}: {error}") from error
        return self.port

    async def start(self) -> None:
        """Serve on the port that was bound."""
        await self._server.start()

    async def stop(self) -> None:
        """Answer what is under way, then close all connections."""
        self._health.stop()
        await self._server.stop(GRACE_S)

    def _handler(self, method: Served) -> Any:
        if method.serve is None:
            return grpc.stream_stream_rpc_method_handler(partial(self._push, method))
        return grpc.stream_unary_rpc_method_handler(partial(self._serve, method))

    async def _serve(self, method: Served, _requests: object, context: Context) -> bytes:
        with self._observed.request(method.operation.name) as seen:
            try:
                return await self._unary(method, context, seen)
            except OsqueueError as error:
                seen.failed(error)
                refused = error
            except CallerGoneError as error:
                seen.failed(error)
                refused = unauthorized(_PASSING)
        await self._refuse(context, refused)
        raise AssertionError("a refusal ends the call")

    async def _unary(self, method: Served, context: Context, seen: SeenRequest) -> bytes:
        principal = None if method.role is None else self._admit(context, method.role, seen)
        data = b"" if principal is None else await self._read(method, context, seen)
        message = await decode(method.request, data)
        asked = self._answerer.read(method, message, len(data))
        del message
        reply = await self._answer(method, asked, len(data), principal)
        if reply.sent is not None:
            sent = reply.sent
            context.add_done_callback(lambda _: sent())
        try:
            await name_commit(context, reply.position)
        except BaseException:
            self._answerer.give_back(method, asked, reply.value)
            raise
        answer = await encode(reply.value)
        seen.sent = len(answer)
        self._expect_taken_in(context, len(answer))
        return answer

    def _expect_taken_in(self, context: Context, size: int) -> None:
        """Give up a caller who does not take in the answer: gRPC waits for as long as he lives."""
        task = asyncio.current_task()
        assert task is not None, "a call is served by a task"
        limit_s = self._settings.send_s_max * (1 + size // MIB)
        timer = asyncio.get_running_loop().call_later(limit_s, task.cancel)
        context.add_done_callback(lambda _: timer.cancel())

    async def _answer(
        self, method: Served, asked: Asked, size: int, principal: Principal | None
    ) -> Reply[Any]:
        await self._gathering.turn()
        return await self._answerer.answer(
            method, asked, size=size, caller=Caller(), principal=principal
        )

    async def _push(self, method: Served, _requests: object, context: Context) -> None:
        with self._observed.request(method.operation.name) as seen:
            refused: OsqueueError | None = None
            try:
                await self._stream(method, context, seen)
            except OsqueueError as error:
                seen.failed(error)
                refused = error
            except CallerGoneError as error:
                seen.failed(error)
                refused = unauthorized(_PASSING)
        if refused is not None:
            await self._refuse(context, refused)

    async def _stream(self, method: Served, context: Context, seen: SeenRequest) -> None:
        principal = self._admit(context, method.role, seen)
        stream = MessageStream(self._service, method, principal)
        try:
            data = await self._read(method, context, seen)
            stream.begin(await decode(method.request, data), len(data))
            await context.send_initial_metadata(())
            async for message in stream:
                await self._write(message, context)
        finally:
            await stream.aclose()

    async def _write(self, message: Any, context: Context) -> None:
        try:
            async with asyncio.timeout(self._settings.send_s_max):
                await context.write(message.to_binary())
        except TimeoutError:
            limit = self._settings.send_s_max
            logger.info("a stream of gRPC is dropped: nothing was taken in for %d s", limit)
            said = f"this stream is read too slowly: nothing was taken in for {limit} s; ask again"
            raise OverloadedError(said) from None

    def _admit(self, context: Context, role: Needed, seen: SeenRequest | None = None) -> Principal:
        headers: dict[bytes, bytes] = {}
        for key, value in context.invocation_metadata() or ():
            name = key.encode()
            said = value if isinstance(value, bytes) else value.encode()
            headers[name] = headers[name] + b", " + said if name in headers else said
        peer = peer_of_grpc(context.peer())
        principal = self._door.admit(headers, peer)
        if seen is not None:
            seen.principal, seen.peer = principal.name, peer.host or ""
        principal.check(role)
        return principal

    async def _let_in(self, context: Context) -> None:
        try:
            self._admit(context, None)
        except OsqueueError as error:
            await self._refuse(context, error)

    async def _refuse(self, context: Context, error: OsqueueError) -> None:
        await refuse(context, error, within_s=self._settings.send_s_max)

    async def _read(self, method: Served, context: Context, seen: SeenRequest) -> bytes:
        try:
            async with asyncio.timeout(self._settings.request_s_max):
                data = await context.read()
        except TimeoutError:
            limit = self._settings.request_s_max
            message = f"the request has not arrived in full within {limit} s"
            raise BrokerProtocolError(message, status=408) from None
        if not isinstance(data, bytes):
            raise BrokerProtocolError("the call ended without a message")
        seen.received = len(data)
        if len(data) > self._answerer.bytes_max(method):
            raise self._answerer.too_large(method)
        expect_few_parts(data)
        return data


def _options(settings: ServerSettings) -> tuple[tuple[str, Any], ...]:
    limits: GrpcSettings = settings.grpc
    return (
        ("grpc.so_reuseport", 0),  # or two brokers would share one port without a word
        ("grpc.max_receive_message_length", settings.payload_bytes_max + MIB),
        ("grpc.max_send_message_length", -1),  # a claim is as large as its payloads
        ("grpc.max_metadata_size", settings.head_bytes_max),
        ("grpc.absolute_max_metadata_size", settings.head_bytes_max),
        ("grpc.max_concurrent_streams", limits.streams_max),
        ("grpc.max_allowed_incoming_connections", settings.connections_max),
        ("grpc.server_handshake_timeout_ms", limits.handshake_ms_max),
        ("grpc.keepalive_time_ms", limits.ping_ms),
        ("grpc.keepalive_timeout_ms", limits.pong_ms),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", limits.pinged_ms_min),
        ("grpc.http2.max_ping_strikes", limits.ping_strikes_max),
        ("grpc.http2.max_pings_without_data", 0),
    )
