"""A load generator for gRPC that costs little: HTTP/2 frames made by hand over plain asyncio.

It looks at answers no closer than it must: a call that ends without a message was refused.
"""

from __future__ import annotations

import asyncio
from typing import cast

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
WINDOW = 2**31 - 1


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def literal(name: bytes, value: bytes) -> bytes:
    """A header that nobody is to remember."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def headers(path: bytes) -> bytes:
    pairs = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"bench"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ]
    return b"".join([literal(*pair) for pair in pairs])


class Channel(asyncio.Protocol):
    """One connection with many calls at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._next = 1
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._data: dict[int, bytes] = {}
        self._heads: dict[bytes, bytes] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        window = (WINDOW - 65_535).to_bytes(4, "big")
        setting = b"\x00\x04" + WINDOW.to_bytes(4, "big")  # the first window of every stream
        self.transport.write(
            PREFACE + frame(SETTINGS, 0, 0, setting) + frame(WINDOW_UPDATE, 0, 0, window)
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        at, size = 0, len(self._buffer)
        while size - at >= 9:
            length = int.from_bytes(self._buffer[at : at + 3], "big")
            if size - at < 9 + length:
                break
            kind, flags = self._buffer[at + 3], self._buffer[at + 4]
            stream = int.from_bytes(self._buffer[at + 5 : at + 9], "big")
            self._frame(kind, flags, stream, self._buffer[at + 9 : at + 9 + length])
            at += 9 + length
        self._buffer = self._buffer[at:]

    def _frame(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == DATA:
            self._data[stream] = self._data.get(stream, b"") + body
        elif kind == HEADERS and flags & END_STREAM:
            self._calls.pop(stream).set_result(self._data.pop(stream, b""))
        elif kind in {SETTINGS, PING} and not flags & ACK:
            self.transport.write(frame(kind, ACK, 0, body if kind == PING else b""))
        elif kind == GOAWAY:
            raise ConnectionError(f"sent away: {body!r}")

    async def call(self, path: bytes, message: bytes) -> bytes:
        head = self._heads.get(path)
        if head is None:
            head = self._heads[path] = headers(path)
        stream, self._next = self._next, self._next + 2
        answer = self._calls[stream] = asyncio.get_running_loop().create_future()
        body = b"\x00" + len(message).to_bytes(4, "big") + message
        chunks = [body[at : at + 16_384] for at in range(0, len(body), 16_384)]
        frames = [frame(DATA, 0, stream, chunk) for chunk in chunks[:-1]]
        last = frame(DATA, END_STREAM, stream, chunks[-1])
        opening = frame(HEADERS, END_HEADERS, stream, head)
        self.transport.write(b"".join([opening, *frames, last]))
        said: bytes = await answer
        if not said:
            raise RuntimeError(f"{path!r} was refused")
        return said[5:]
