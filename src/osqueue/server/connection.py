"""One HTTP connection: uvicorn's protocol, with bounds on what a client may send, and for how long.

Laws: what stands around bodies (heads, trailers, chunk sizes) is bounded; a request that began
arrives in full in time, or its connection is closed; a request is told at once when its connection
is lost; what is refused here is answered like any other error.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections.abc import Callable, MutableMapping
from functools import partial
from typing import Any, Final, Protocol, cast

import msgspec
from httptools import HttpParserInvalidURLError, HttpParserUpgrade, parse_url
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from osqueue.config import MIB, ServerSettings
from osqueue.engine.callers import CallerGoneError
from osqueue.errors import BrokerProtocolError, OsqueueError, OverloadedError
from osqueue.server.door.hosts import HostConnections
from osqueue.server.door.peers import peer_of_scope
from osqueue.server.http import CLOSE, JSON, error_headers, headers_of, respond_error
from osqueue.server.websocket.handshake import PATH, Around, Upgrade
from osqueue.wire.errors import error_body, http_status

__all__ = ["Connection", "HttpProtocol", "Upgrades", "connection_of"]

_KEY: Final = "osqueue.connection"

_FOR_PAGES: Final = frozenset({b"vary", b"access-control-expose-headers"})

_OFFER: Final = re.compile(rb"(\r\n)upgrade(?=:(?![ \t]*websocket[ \t]*\r\n))", re.IGNORECASE)
"""An offer to go on in another protocol, as Java's client makes it with its first request for
HTTP/2, and Apache's for TLS. It is declined by not letting the parser see it, which would take the
body for the other protocol. The name that stands there instead is as long."""

_HEAD_END: Final = b"\r\n\r\n"


class Connection:
    """What a request may know of its connection."""

    __slots__ = ("_transport", "end_with", "lost", "on_lost", "on_over")

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self.end_with: Callable[[bytes], bool] | None = None
        """Has trailers follow the answer that is being sent, if that can be."""
        self.lost = False
        self.on_over: Callable[[], None] | None = None
        """Called after that."""
        self.on_lost: Callable[[], None] | None = None
        """Called once, when the connection is lost."""

    def open_on(self, transport: asyncio.Transport) -> None:
        """The connection is made."""
        self._transport = transport

    def trail(self, trailers: bytes) -> None:
        """Let the answer that is being sent end with these lines. Raises `CallerGoneError`."""
        if self.end_with is None or not self.end_with(trailers):
            self.abort()
            raise CallerGoneError

    def abort(self) -> None:
        """Close at once, whatever is still to be sent."""
        if self._transport is not None:
            self._transport.abort()

    def break_after(self, silence_s: float) -> None:
        """Have it break when the other side's host acknowledges nothing of what is sent for so
        long, where the system can do that; others find it out in a quarter of an hour.
        """
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        if option is not None and self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, option, int(silence_s * 1_000))

    def lose(self) -> None:
        """The connection is lost."""
        self.lost = True
        if self.on_lost is not None:
            self.on_lost()
        if self.on_over is not None:
            self.on_over()


def connection_of(scope: MutableMapping[str, Any]) -> Connection:
    """The connection of a request; for one of another server, one that is never lost."""
    state: dict[str, Any] = scope.get("state", {})
    found = state.get(_KEY)
    return found if isinstance(found, Connection) else Connection()


class Upgrades(Protocol):
    """Opens WebSockets; see `osqueue.server.websocket.protocol`."""

    def open(
        self, upgrade: Upgrade, transport: asyncio.Transport, around: Around
    ) -> asyncio.Protocol:
        """Answer the request, and take the connection over. Raises what it is refused with."""
        ...


class HttpProtocol(HttpToolsProtocol):
    """Serves one connection."""

    def __init__(
        self,
        settings: ServerSettings,
        hosts: HostConnections,
        *,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._connection = Connection()
        super().__init__(config, server_state, {**app_state, _KEY: self._connection}, _loop)
        self._settings = settings
        self._hosts = hosts
        self._receiving = True
        """Whether a request is on its way, or the first one is awaited."""
        self._overdue_at: float | None = None
        self._body_bytes = 0
        """Bytes of the body on its way."""
        self._unparsed = 0
        """Bytes since the last piece of a body, or the last whole request."""
        self._received = b""
        """What is being parsed."""
        self._between = True
        """Whether what arrives next begins a request."""
        self._refusal: OsqueueError | None = None
        """Why the connection is not served."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._connection.open_on(transport)
        self._connection.end_with = self._end_with
        host = None if self.client is None else self.client[0]
        alone_too_many = not self._hosts.enter(host)
        self._connection.on_over = partial(self._hosts.leave, host)
        if alone_too_many or len(self.connections) > self._settings.connections_max:
            self._refusal = _too_many(alone=alone_too_many)
            self.app = partial(_refuse_connection, self._refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._connection.lose()

    def data_received(self, data: bytes) -> None:
        if self._between and b"pgrade" in data:
            data = _without_offers(data)
        self._unparsed += len(data)
        self._received = data
        super().data_received(data)
        self._received = b""
        if self._unparsed > self._settings.head_bytes_max:
            limit = self._settings.head_bytes_max
            self.refuse(
                BrokerProtocolError(
                    f"the request's line and headers are larger than {limit} bytes", status=431
                )
            )

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._receiving, self._overdue_at, self._body_bytes = True, None, 0
        self._between = False

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade() and not self._should_upgrade():
            self.app = partial(_refuse_connection, _no_upgrade())
        super().on_headers_complete()
        if self.scope.get("path") == PATH:  # it is for no page, so nothing is said to browsers
            said = self.cycle.default_headers
            self.cycle.default_headers = [pair for pair in said if pair[0] not in _FOR_PAGES]

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed = 0
        self._receiving = False
        self._between = True
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, or refuse to."""
        parsed = sys.exception()  # it says how far the head of the request reaches
        assert isinstance(parsed, HttpParserUpgrade), "uvicorn calls this where it handles that"
        rest = self._received[parsed.args[0] :]
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # an earlier answer is still to be sent
            return
        try:
            websocket = self._open_websocket()
        except OsqueueError as error:
            self.refuse(error)
            return
        self.connections.discard(self)
        if rest:
            websocket.data_received(rest)

    def _open_websocket(self) -> asyncio.Protocol:
        if self._refusal is not None:
            raise self._refusal
        path = _path_of(self.url)
        scope = cast("dict[str, Any]", self.scope)
        upgrade = Upgrade(scope["method"], path, headers_of(scope), peer_of_scope(scope))
        around = Around(self.connections, self.tasks, self._connection.lose)
        endpoint = cast("Upgrades", self.ws_protocol_class)
        return endpoint.open(upgrade, self.transport, around)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; ``msg`` says less."""
        del msg
        self.refuse(BrokerProtocolError("the request is not valid HTTP/1.1", status=400))

    def shutdown(self) -> None:
        """Close after the answers that are due; nothing of half a request has been applied."""
        if self._receiving:
            self.transport.close()
        else:
            super().shutdown()

    def look_after(self, now_s: float) -> None:
        """Close the connection when a request has been on its way for too long."""
        if not self._receiving or self.flow.read_paused:
            self._overdue_at = None
        elif self._overdue_at is None:
            self._overdue_at = now_s + self._settings.request_s_max
        elif now_s >= self._overdue_at + self._settings.request_s_max * (self._body_bytes // MIB):
            limit = self._settings.request_s_max
            message = f"the request has not arrived in full within {limit} s"
            self.refuse(BrokerProtocolError(message, status=408))

    def refuse(self, error: OsqueueError) -> None:
        """Answer with an error if it is the client's turn to be answered, and close."""
        if self.transport.is_closing():
            return
        if self._may_answer():
            body = msgspec.json.encode(error_body(error))
            length = (b"content-length", b"%d" % len(body))
            also = [header for header in error_headers(error) if header != CLOSE]
            headers = (*self.server_state.default_headers, JSON, length, *also, CLOSE)
            lines = [b"%b: %b\r\n" % header for header in headers]
            self.transport.write(b"".join([STATUS_LINE[http_status(error)], *lines, b"\r\n", body]))
        self.transport.close()

    def _end_with(self, trailers: bytes) -> bool:
        """Uvicorn knows no trailers: they are put in behind the last chunk that it writes."""
        cycle = self.cycle
        if cycle is None or not cycle.chunked_encoding or cycle.response_complete:
            return False  # it is the cycle of a request that waits for its turn
        cycle.transport = cast("asyncio.Transport", _LastChunk(self.transport, trailers))
        return True

    def _may_answer(self) -> bool:
        """Whether nobody else is about to answer, or has begun to."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return True
        return cycle.more_body and not cycle.response_started and not self.pipeline


class _LastChunk:
    """Stands for the transport while the end of an answer in chunks is written."""

    def __init__(self, transport: asyncio.Transport, trailers: bytes) -> None:
        self._transport = transport
        self._trailers = trailers

    def write(self, data: bytes) -> None:
        assert data == b"0\r\n\r\n", "nothing but the last chunk is left to write"
        self._transport.write(b"0\r\n%b\r\n" % self._trailers)

    def close(self) -> None:
        self._transport.close()


def _without_offers(data: bytes) -> bytes:
    """What begins a request, with any offer in its head declined; its body is left alone."""
    end = data.find(_HEAD_END)
    head, body = (data, b"") if end < 0 else (data[: end + 2], data[end + 2 :])
    return _OFFER.sub(rb"\1x-grade", head) + body


def _no_upgrade() -> BrokerProtocolError:
    """For an offer that the parser has seen: it takes all that follows for the other protocol."""
    message = "the broker goes on in no other protocol but WebSocket; leave out `upgrade`"
    return BrokerProtocolError(message, status=400)


def _path_of(url: bytes) -> str:
    try:
        path = parse_url(url).path
    except HttpParserInvalidURLError:
        path = None
    if path is None:
        raise BrokerProtocolError("the request is not valid HTTP/1.1", status=400)
    return bytes(path).decode("ascii")


def _too_many(*, alone: bool) -> OverloadedError:
    """Of all hosts, or of one host alone."""
    of = " from this host" if alone else ""
    message = f"too many connections are open{of}; try again later, or raise the broker's limit"
    return OverloadedError(message)


async def _refuse_connection(
    refusal: OsqueueError, _scope: object, _receive: object, send: Any
) -> None:
    """An application for one connection too many."""
    await respond_error(send, refusal, (CLOSE,))
