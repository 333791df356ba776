"""Where an HTTP/1.1 message ends, so that its bytes can be passed on as they came.

HTTP libraries write anew what they read: they sort, add and recode headers, and a signed request
does not survive that. This reads no more of a message than its framing (RFC 9112, section 6) and
keeps every byte. A message whose framing is not clear is a `FramingError`: it is not guessed at.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final, Literal

import msgspec

__all__ = ["PIECE_BYTES", "FramingError", "Head", "body_of", "read_head"]

PIECE_BYTES: Final = 256 * 1024
"""How much is passed on at a time, and the longest head or line: ten times what servers take."""

Framing = Literal["none", "length", "chunked", "close"]


class FramingError(ValueError):
    """The bytes are no HTTP/1.1 message, or end within it."""


class Head(msgspec.Struct, frozen=True):
    """The first line and the headers of a message, and how its body is framed."""

    raw: bytes
    first: tuple[str, str, str]
    headers: Mapping[str, str]
    framing: Framing
    length: int = 0

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.first[1])

    @property
    def interim(self) -> bool:
        """Whether it is an answer that another one follows."""
        return 100 <= self.status <= 199

    @property
    def expects(self) -> bool:
        """Whether the sender of the request waits for a word before it sends the body."""
        return self.headers.get("expect", "").lower() == "100-continue" and self.framing != "none"

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this message."""
        version = self.first[0 if self.first[0].startswith("HTTP/") else 2]
        options = self.headers.get("connection", "").lower()
        return version != "HTTP/1.1" or "close" in options or self.framing == "close"


async def read_head(reader: asyncio.StreamReader, *, asked: str = "") -> Head | None:
    """The next head; ``None`` when the connection ends before one.

    ``asked`` is the method that an answer is to; empty: a request is read.
    """
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise FramingError("the connection ended within a head") from None
        return None
    except asyncio.LimitOverrunError:
        raise FramingError(f"a head is longer than {PIECE_BYTES} bytes") from None
    return _parsed(raw, asked)


async def body_of(head: Head, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The body's bytes in pieces, framing included."""
    if head.framing == "length":
        async for piece in _exactly(reader, head.length):
            yield piece
    elif head.framing == "chunked":
        async for piece in _chunks(reader):
            yield piece
    elif head.framing == "close":
        while piece := await reader.read(PIECE_BYTES):
            yield piece


def _parsed(raw: bytes, asked: str) -> Head:
    line, *lines = raw[:-4].decode("latin-1").split("\r\n")
    first = tuple(line.split(" ", 2))
    if len(first) == 2:  # an answer without a reason
        first = (*first, "")
    if len(first) != 3 or "HTTP/1." not in (first[0] if asked else first[2]):
        raise FramingError("the first line is not one of HTTP/1")
    if asked and not (len(first[1]) == 3 and first[1].isdecimal()):
        raise FramingError("the answer has no status")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    framing = _framing(headers, bodiless=bool(asked) and _bodiless(asked, int(first[1])))
    if framing == "" and asked:
        framing = "close"
    length = _length(headers) if framing == "length" else 0
    return Head(raw, first, headers, framing or "none", length)


def _bodiless(asked: str, status: int) -> bool:
    return asked == "HEAD" or status in {204, 304} or status < 200


def _framing(headers: Mapping[str, str], *, bodiless: bool) -> Framing | Literal[""]:
    if bodiless:
        return "none"
    if "transfer-encoding" in headers:
        if headers["transfer-encoding"].lower() != "chunked":
            raise FramingError("a transfer-encoding other than chunked is not passed on")
        return "chunked"
    return "length" if "content-length" in headers else ""


def _length(headers: Mapping[str, str]) -> int:
    digits = headers["content-length"]
    if not (digits.isascii() and digits.isdecimal()):
        raise FramingError("the content-length is no number")
    return int(digits)


async def _exactly(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    while length:
        piece = await reader.read(min(length, PIECE_BYTES))
        if not piece:
            raise FramingError("the connection ended within a body")
        length -= len(piece)
        yield piece


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    size = -1
    while size:
        line = await _line(reader)
        size = _size(line)
        yield line
        if size:
            async for piece in _exactly(reader, size + len(b"\r\n")):
                yield piece
    while (line := await _line(reader)) != b"\r\n":
        yield line
    yield line


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise FramingError("a line of a chunked body has no end") from None


def _size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or digits.strip(b"0123456789abcdefABCDEF"):
        raise FramingError("a chunk has no size")
    return int(digits, 16)
