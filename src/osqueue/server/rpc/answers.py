"""Sending the answers of Connect and gRPC-Web: compressed, bounded, and only as they are taken in.

Laws: one who takes in nothing for too long is dropped; a large answer is neither compressed nor
sent in one go, which would hold up all others.
"""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import Final, NamedTuple

from connectrpc.compression.brotli import BrotliCompression
from connectrpc.compression.gzip import GzipCompression
from starlette.types import Message, Send

from osqueue.config import KIB, MIB
from osqueue.engine.callers import CallerGoneError
from osqueue.server.connection import Connection
from osqueue.server.door.origins import HeaderPairs
from osqueue.server.http import respond
from osqueue.server.pieces import CHUNK_BYTES, respond_pieces
from osqueue.server.rpc.bodies import ENVELOPE_BYTES
from osqueue.server.rpc.headers import GRPC, WEB

__all__ = ["GrpcAnswer", "Outlet", "StreamAnswer", "UnaryAnswer"]

COMPRESS_BYTES_MIN: Final = KIB
"""Smaller answers would hardly shrink."""

COMPRESS_BYTES_MAX: Final = 4 * MIB
"""Larger answers would take longer to shrink than to send, and keep a thread for that long."""

AT_ONCE_BYTES_MAX: Final = 32 * KIB
"""Larger answers are compressed on a thread: each MiB takes about 20 ms."""

_COMPRESSIONS: Final = MappingProxyType(
    {b"gzip": GzipCompression(level=4), b"br": BrotliCompression(quality=3)}
)
"""How answers are compressed, the preferred one first."""

_MESSAGE: Final = b"\x00"
"""Begins the envelope of a message."""

_TRAILERS: Final = b"\x80"
"""Begins the envelope that ends an answer in gRPC-Web."""

_MADE_HERE: Final = frozenset({b"content-encoding", b"vary"})


class Outlet(NamedTuple):
    """Where one request's answer goes."""

    send: Send
    extra: HeaderPairs
    """What a browser is told."""
    connection: Connection
    stall_s: float
    """Who takes in nothing for so long is dropped."""


class UnaryAnswer:
    """Of Connect's unary methods: a whole body, which may be compressed.

    ``accepted``: the request's `accept-encoding`.
    """

    def __init__(self, outlet: Outlet, *, accepted: bytes) -> None:
        self._outlet = outlet
        self._accepted = accepted
        self._start: Message = {}
        self.delivered = False
        """Whether a success was sent to somebody who was there."""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        body: bytes = message["body"]
        headers = [pair for pair in self._start["headers"] if pair[0] not in _MADE_HERE]
        headers += self._outlet.extra
        status: int = self._start["status"]
        if status == 200:
            body, encoding = await self._compressed(body)
            headers += encoding
            self.delivered = not self._outlet.connection.lost
        await self._respond(status, body, headers)

    async def _respond(self, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        if len(body) <= CHUNK_BYTES:
            length = (b"content-length", b"%d" % len(body))
            await respond(self._outlet.send, status, body=body, headers=(*headers, length))
            return
        kind, *others = headers
        await respond_pieces(
            self._outlet.send,
            [memoryview(body)],
            headers=others,
            connection=self._outlet.connection,
            stall_s=self._outlet.stall_s,
            kind=kind,
        )

    async def _compressed(self, body: bytes) -> tuple[bytes, HeaderPairs]:
        name = _preferred(self._accepted)
        if name is None or not COMPRESS_BYTES_MIN <= len(body) <= COMPRESS_BYTES_MAX:
            return body, ()
        compress = _COMPRESSIONS[name].compress
        if len(body) <= AT_ONCE_BYTES_MAX:
            smaller = compress(body)
        else:
            smaller = await asyncio.to_thread(compress, body)
        return smaller, ((b"content-encoding", name),)


class StreamAnswer:
    """Of all that is sent in envelopes. ``kind``: the request's `content-type`."""

    def __init__(self, outlet: Outlet, *, kind: bytes) -> None:
        self._outlet = outlet
        self._kind = kind
        self._begun = False
        self.delivered = False
        """Whether a message was sent to somebody who was there."""

    async def begin(self) -> None:
        """Send the head before there is a message: so the caller knows that the stream is open."""
        kind = self._kind.partition(b";")[0].strip().lower()
        head = (b"content-type", kind if b"+" in kind else kind + b"+proto")
        await self({"type": "http.response.start", "status": 200, "headers": [head]})

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._begun:
                return
            self._begun = True
            message["headers"] = [*message["headers"], *self._outlet.extra]
        await self._send(message)
        if self._outlet.connection.lost:
            raise CallerGoneError
        if message.get("body", b"\xff")[:1] == _MESSAGE:
            self.delivered = True

    async def _send(self, message: Message) -> None:
        patience = asyncio.timeout(self._outlet.stall_s)
        try:
            async with patience:
                await self._outlet.send(message)
        except TimeoutError:
            if not patience.expired():
                raise
            self._outlet.connection.abort()
            raise CallerGoneError from None


class GrpcAnswer:
    """Of gRPC in HTTP/1.1: as gRPC-Web has it, but for what ends it, which are trailers."""

    def __init__(self, outlet: Outlet, *, kind: bytes) -> None:
        self._connection = outlet.connection
        self._web = StreamAnswer(outlet, kind=kind)

    @property
    def delivered(self) -> bool:
        """See `StreamAnswer.delivered`."""
        return self._web.delivered

    async def begin(self) -> None:
        """See `StreamAnswer.begin`."""
        await self._web.begin()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [_not_web(*pair) for pair in message["headers"]]
        elif message["body"][:1] == _TRAILERS:
            self._connection.trail(message["body"][ENVELOPE_BYTES:])
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._web(message)


def _not_web(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    return name, value.replace(WEB, GRPC) if name == b"content-type" else value


def _preferred(accepted: bytes) -> bytes | None:
    """The compression to answer with."""
    if not accepted:
        return None
    names = set()
    for item in accepted.lower().split(b","):
        name, _, weight = item.partition(b";")
        if weight.strip().removeprefix(b"q=").strip(b"0.") or not weight:
            names.add(name.strip())
    return next((name for name in _COMPRESSIONS if name in names), None)
