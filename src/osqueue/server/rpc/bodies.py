"""Reading the one message of an RPC request on HTTP: bounded, whole, and no longer compressed.

Laws: what is larger than a usual request is read only when there is room for all that it may turn
out to be; what is inflated is bounded like what is sent, and large texts are inflated off the loop;
who is refused while still sending gets to see the answer.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from connectrpc.code import Code
from connectrpc.compression import Compression
from connectrpc.compression.gzip import GzipCompression
from connectrpc.errors import ConnectError
from starlette.types import Receive

from osqueue.config import KIB, MIB, ROOMY_BYTES
from osqueue.engine.callers import CallerGoneError
from osqueue.engine.room import Room, Share
from osqueue.errors import BrokerProtocolError, OsqueueError

__all__ = ["ENVELOPE_BYTES", "Bounds", "OneGzip", "read_message"]

ENVELOPE_BYTES: Final = 5
"""What stands before a message in gRPC-Web and in Connect's streams: flags, and its length."""

PIECE_BYTES: Final = 64 * KIB
"""What is kept in one piece: a body that comes byte by byte must not take fifty times its size.
Also what is inflated at once, in less than a millisecond, and the largest text for which that is
tried: a larger one may be made of millions of blocks that hold nothing."""

DRAIN_BYTES_MAX: Final = 16 * MIB
"""How much of a body that is refused is read on and dropped: a client that is still sending would
see a broken connection instead of the answer."""

_COMPRESSED: Final = 1
_GZIP_WBITS: Final = 31


class OneGzip(GzipCompression):
    """Takes one member, as clients send it: for a text of many that hold nothing, the library
    takes minutes for each MiB.
    """

    def decompress(
        self, data: bytes | bytearray | memoryview, read_max_bytes: int | None = None
    ) -> bytes:
        """Inflate. Raises `ConnectError` for what is larger, and `zlib.error`."""
        assert read_max_bytes is not None, "what is inflated is bounded"
        inflate = zlib.decompressobj(wbits=_GZIP_WBITS)
        text = inflate.decompress(data, read_max_bytes + 1)
        if len(text) > read_max_bytes:
            raise ConnectError(Code.RESOURCE_EXHAUSTED, f"more than {read_max_bytes} bytes")
        if not inflate.eof or inflate.unused_data:
            what = "more follows its end" if inflate.eof else "its end is missing"
            raise zlib.error(what)
        return text


class Bounds(NamedTuple):
    """How much may be read. ``room`` is for what is larger than `ROOMY_BYTES`."""

    bytes_max: int
    expected: int | None
    """What the request says of its length."""
    room: Room
    too_large: Callable[[], OsqueueError]


async def read_message(
    receive: Receive, bounds: Bounds, *, compression: Compression | None, enveloped: bool
) -> tuple[bytes, Share | None]:
    """A request's body, not compressed any more, and the room that it takes until it is answered.

    Raises `BrokerProtocolError`, `OverloadedError`, and `CallerGoneError`.
    """
    reader = _Reader(receive, bounds)
    try:
        body = await reader.read()
        if compression is not None and body:
            open_ = _opened if enveloped else _inflated
            body = await open_(body, compression, reader)
    except BaseException:
        reader.give_back()
        raise
    return body, reader.share


class _Reader:
    """Reads one body."""

    def __init__(self, receive: Receive, bounds: Bounds) -> None:
        self._receive = receive
        self._bounds = bounds
        self.share: Share | None = None

    @property
    def bytes_max(self) -> int:
        return self._bounds.bytes_max

    async def read(self) -> bytes:
        message = await self._receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            body = await self._read_on(body)
        elif message["type"] == "http.disconnect":
            raise CallerGoneError
        if len(body) > self.bytes_max:
            raise self._bounds.too_large()
        return body

    async def take_room(self, size: int) -> None:
        """Once a request turns out to be large, for all that it may be; instead of what it has."""
        self.give_back()
        if size > ROOMY_BYTES:
            self.share = await self._bounds.room.take(size)

    def give_back(self) -> None:
        if self.share is not None:
            self.share.give_back()
            self.share = None

    def too_large(self) -> OsqueueError:
        return self._bounds.too_large()

    async def _read_on(self, body: bytes) -> bytes:
        expected, pieces, more = self._bounds.expected or 0, _Pieces(body), True
        while more:
            if max(expected, pieces.size) > self.bytes_max:
                await self._drain()
                raise self._bounds.too_large()
            if pieces.size > ROOMY_BYTES and self.share is None:
                await self._take_room_or_drain(expected or self.bytes_max)
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise CallerGoneError
            pieces.add(message.get("body", b""))
            more = message.get("more_body", False)
        return await pieces.joined()

    async def _take_room_or_drain(self, size: int) -> None:
        try:
            await self.take_room(size)
        except OsqueueError:
            await self._drain()
            raise

    async def _drain(self) -> None:
        dropped, more = 0, True
        while more and dropped <= DRAIN_BYTES_MAX:
            message = await self._receive()
            dropped += len(message.get("body", b""))
            more = message.get("more_body", False)


class _Pieces:
    """A body as it comes."""

    def __init__(self, first: bytes) -> None:
        self.size = 0
        self._pieces: list[bytes] = []
        self._small = bytearray()
        self.add(first)

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        self._small += piece
        if len(self._small) >= PIECE_BYTES:
            self._pieces.append(bytes(self._small))
            self._small.clear()

    async def joined(self) -> bytes:
        pieces = [*self._pieces, bytes(self._small)]
        if self.size <= ROOMY_BYTES:
            return b"".join(pieces)
        return await asyncio.to_thread(b"".join, pieces)


async def _opened(body: bytes, compression: Compression, reader: _Reader) -> bytes:
    """An envelope whose message is not compressed; what is none is judged by who reads it."""
    flags, length = body[0], int.from_bytes(body[1:ENVELOPE_BYTES], "big")
    if not flags & _COMPRESSED or len(body) != ENVELOPE_BYTES + length:
        return body
    message = await _inflated(body[ENVELOPE_BYTES:], compression, reader)
    head = bytes([flags & ~_COMPRESSED]) + len(message).to_bytes(ENVELOPE_BYTES - 1, "big")
    return head + message


async def _inflated(data: bytes, compression: Compression, reader: _Reader) -> bytes:
    try:
        if len(data) <= PIECE_BYTES:
            with suppress(ConnectError):  # it is larger
                return compression.decompress(data, min(PIECE_BYTES, reader.bytes_max))
        await reader.take_room(reader.bytes_max)
        return await asyncio.to_thread(compression.decompress, data, reader.bytes_max)
    except ConnectError:
        raise reader.too_large() from None
    except OsqueueError:
        raise
    except Exception as error:  # each library has its own
        message = f"the body is not valid {compression.name()}: {error}"
        raise BrokerProtocolError(message) from error
