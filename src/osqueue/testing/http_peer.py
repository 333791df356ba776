"""One side of an HTTP connection as the fault-injecting proxy sees it, and a request under way."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from osqueue.testing.http_framing import PIECE_BYTES, FramingError, Head, body_of, read_head

__all__ = ["HELD_BYTES_MAX", "Forwarding", "Peer", "Place", "forwarding", "held"]

HELD_BYTES_MAX: Final = 256 * 1024 * 1024
"""Of a request that is held back in memory: four times the largest state object."""

Place = tuple[str, int]
"""Host and port."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Peer:
    """A connection. Close, reset and abort may come twice."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    @classmethod
    async def dial(cls, place: Place) -> Peer:
        """Raises `OSError` when there is no one."""
        return cls(*await asyncio.open_connection(*place, limit=PIECE_BYTES))

    async def send(self, *pieces: bytes) -> None:
        """Raises `OSError` when the other side has left."""
        for piece in pieces:
            if self._writer.is_closing():  # uvloop does not take it for an error of the system
                raise ConnectionResetError("the connection was broken off")
            self._writer.write(piece)
            await self._writer.drain()

    async def left(self) -> None:
        """Return when the other side has closed or broken the connection."""
        with suppress(OSError):
            while await self.reader.read(PIECE_BYTES):
                pass

    async def close(self) -> None:
        """Send what is left, then the end (FIN)."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    def reset(self) -> None:
        """Break it, so that the other side sees a reset (RST)."""
        sock = self._writer.get_extra_info("socket")
        if sock is not None:  # uvloop keeps none of a closed connection
            with suppress(OSError, ValueError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    def abort(self) -> None:
        """Give it up at once."""
        self._writer.transport.abort()


class Forwarding:
    """A request on its way to the upstream, and its answer on the way back."""

    def __init__(self, request: Head, client: Peer, upstream: Peer) -> None:
        self._request = request
        self._client = client
        self._upstream = upstream
        self._continued = False
        self._whole = False
        self._sending = asyncio.create_task(self._send_body(), name="osqueue-proxy-body")

    async def request_ended(self) -> bool:
        """Whether the client sent all of the request; waits for that if it surely still does."""
        if self._request.expects and not self._continued:
            return False  # answered without being told to go on, it keeps the body
        await self._sending
        return self._whole

    async def answer(self) -> Head:
        """The head of the final answer. Interim ones go to the client, who may wait for them."""
        while (head := await self._next_head()).interim:
            self._continued = True
            with suppress(OSError):
                await self._client.send(head.raw)
        return head

    def body(self, answer: Head) -> AsyncIterator[bytes]:
        return body_of(answer, self._upstream.reader)

    async def rest(self, answer: Head) -> None:
        """Read the answer to its end: only then has the upstream surely done all of its work."""
        async for _ in self.body(answer):
            pass

    async def end(self) -> None:
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)
        self._upstream.abort()

    async def _next_head(self) -> Head:
        head = await read_head(self._upstream.reader, asked=self._request.first[0])
        if head is None:
            raise FramingError("the upstream closed the connection without an answer")
        return head

    async def _send_body(self) -> None:
        try:
            async for piece in body_of(self._request, self._client.reader):
                with suppress(OSError):  # it may have answered already; its answer tells
                    await self._upstream.send(piece)
            self._whole = True
        except (FramingError, OSError):  # half a request: the upstream must not wait for the rest
            self._upstream.reset()


@asynccontextmanager
async def forwarding(request: Head, client: Peer, place: Place) -> AsyncIterator[Forwarding]:
    """Forward a request while its body still comes in.

    Each has a connection of its own to the upstream: one kept open may have been closed at the
    other end, which would be a fault that nobody asked for.
    """
    upstream = await Peer.dial(place)
    try:
        await upstream.send(request.raw)
        under_way = Forwarding(request, client, upstream)
        try:
            yield under_way
        finally:
            await under_way.end()
    finally:
        upstream.abort()


async def held(request: Head, client: Peer) -> list[bytes]:
    """The whole body of a request that is not forwarded, or not yet."""
    if request.expects:
        await client.send(CONTINUE)
    pieces: list[bytes] = []
    room = HELD_BYTES_MAX
    async for piece in body_of(request, client.reader):
        pieces.append(piece)
        room -= len(piece)
        if room < 0:
            raise FramingError(f"a request to hold back is larger than {HELD_BYTES_MAX} bytes")
    return pieces
