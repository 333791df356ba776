"""WebSocket frames (RFC 6455) without I/O: bytes in, messages out; and frames as bytes.

Laws: a frame is refused by its header, before its bytes come; a message larger than ``roomy`` is
taken in only once it is told that there is room, or is dropped as it comes; what is not asked for
stays unread; a byte is looked at a bounded number of times, however small the pieces it comes in.
"""

from __future__ import annotations

import codecs
import struct
from typing import Final, TypeAlias

try:
    from websockets.speedups import apply_mask
except ImportError:  # pragma: no cover - only where there is no compiled part
    from websockets.utils import apply_mask

__all__ = [
    "BINARY",
    "CLOSE",
    "CONT",
    "PING",
    "PONG",
    "SKIPPED",
    "TEXT",
    "Frame",
    "FrameError",
    "FrameReader",
    "close_frame",
    "frame",
    "is_utf8",
    "read_close",
]

CONT: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
SKIPPED: Final = 16
"""No opcode of the protocol: a message that was dropped; its data is how it began."""

Frame: TypeAlias = tuple[int, bytes | bytearray]
"""A control frame, or a whole message: its opcode and its data."""

PREFIX_BYTES: Final = 1_024
"""What is kept of a message that is dropped: enough to see whom to tell."""

PIECE_BYTES: Final = 256 * 1024
CONTROL_BYTES_MAX: Final = 125
REASON_BYTES_MAX: Final = 123

_FIN: Final = 0x80
_MASKED: Final = 0x80
_KNOWN: Final = frozenset({CONT, TEXT, BINARY, CLOSE, PING, PONG})
_CLOSE_CODES: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})
"""What may stand in a close frame."""


class FrameError(Exception):
    """The peer broke the protocol or a limit: the connection is closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FrameReader:
    """What one client sends. ``feed`` it, then ``read`` until there is nothing more."""

    __slots__ = (
        "_at",
        "_buffer",
        "_fin",
        "_granted",
        "_left",
        "_mask",
        "_max",
        "_message",
        "_opcode",
        "_roomy",
        "_size",
        "_skips",
        "room_wanted",
    )

    def __init__(self, *, message_max: int, roomy: int) -> None:
        self._max = message_max
        self._roomy = roomy
        self._buffer: bytes | bytearray = b""
        self._at = 0
        self._left = 0
        """Bytes that are still to come of a frame that is taken in pieces."""
        self._mask = b""
        self._fin = False
        self._opcode = CONT
        """Of the message that is being put together from pieces; `CONT` when there is none."""
        self._message = bytearray()
        self._size = 0
        """Of that message so far, with the frame on its way."""
        self._granted = self._skips = False
        self.room_wanted = 0
        """Bytes of a message that waits for `admit` or `skip`; nothing is read meanwhile."""

    @property
    def midway(self) -> bool:
        """Whether a message has begun that is not all there."""
        return self._at < len(self._buffer) or self._opcode != CONT

    @property
    def received(self) -> int:
        """Bytes that have come of the message on its way."""
        return len(self._buffer) - self._at + self._size - self._left

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        if self._at >= len(self._buffer):
            self._buffer, self._at = data, 0
            return
        if not isinstance(self._buffer, bytearray):
            self._buffer = bytearray(memoryview(self._buffer)[self._at :])
        else:
            del self._buffer[: self._at]
        self._at = 0
        self._buffer += data

    def admit(self) -> None:
        """There is room for the large message."""
        self.room_wanted, self._granted = 0, True

    def skip(self) -> None:
        """There is none: drop the message as it comes."""
        self.room_wanted, self._granted, self._skips = 0, True, True
        del self._message[PREFIX_BYTES:]

    def read(self) -> Frame | None:
        """The next message or control frame, if it is all there. Raises `FrameError`."""
        while True:
            if self._left:
                if not self._take_piece():
                    return None
                if self._fin:
                    return self._finish()
                continue
            header = self._header()
            if header is None:
                return None
            opcode, length, at = header
            if opcode >= CLOSE or (self._fin and opcode != CONT and length <= self._roomy):
                return self._whole(opcode, length, at)
            if not self._begin(opcode, length, at):
                return None
            if self._fin and not length:
                return self._finish()

    def _header(self) -> tuple[int, int, int] | None:
        """Opcode and length of the next frame, and where its mask begins, once it is there."""
        buffer, at = self._buffer, self._at
        there = len(buffer) - at
        if there < 2:
            if not there:
                self._buffer, self._at = b"", 0  # many connections are idle
            return None
        first, length, at = buffer[at], buffer[at + 1], at + 2
        self._check(first, length)
        length &= 0x7F
        if length == 126:
            if there < 4:
                return None
            length, at = buffer[at] << 8 | buffer[at + 1], at + 2
        elif length == 127:
            if there < 10:
                return None
            length, at = int.from_bytes(buffer[at : at + 8], "big"), at + 8
        self._fin = first >= _FIN
        if length > self._max or (not first & 0x0F and self._size + length > self._max):
            raise FrameError(1009, f"a message may have {self._max} bytes")
        return (first & 0x0F, length, at) if len(buffer) - at >= 4 else None

    def _check(self, first: int, second: int) -> None:
        """Refuse a frame by its first two bytes."""
        opcode = first & 0x0F
        if first & 0x70:
            raise FrameError(1002, "reserved bits must be 0")
        if opcode not in _KNOWN:
            raise FrameError(1002, "invalid opcode")
        if second < _MASKED:
            raise FrameError(1002, "frames of a client must be masked")
        if opcode >= CLOSE:
            if second & 0x7F > CONTROL_BYTES_MAX:
                raise FrameError(1002, "control frame too long")
            if first < _FIN:
                raise FrameError(1002, "fragmented control frame")
        elif (opcode == CONT) != (self._opcode != CONT):
            what = "unexpected" if opcode == CONT else "expected a"
            raise FrameError(1002, f"{what} continuation frame")

    def _whole(self, opcode: int, length: int, at: int) -> Frame | None:
        """A frame that is taken in one piece."""
        buffer, begin = self._buffer, at + 4
        end = begin + length
        if len(buffer) < end:
            return None
        self._at = end
        data = apply_mask(buffer[begin:end], buffer[at:begin])
        if opcode == TEXT and not is_utf8(data):
            raise _not_utf8()
        return opcode, data

    def _begin(self, opcode: int, length: int, at: int) -> bool:
        """Begin to take a frame in pieces; false: its message has to wait for room."""
        size = self._size + length
        if size > self._roomy and not self._granted:
            whole = self._fin and opcode != CONT
            self.room_wanted = size if whole else self._max
            return False
        if opcode != CONT:
            self._opcode = opcode
        self._size, self._left = size, length
        self._mask = bytes(self._buffer[at : at + 4])
        self._at = at + 4
        return True

    def _take_piece(self) -> bool:
        """Take what is there of the frame; true: that was all of it."""
        buffer, at = self._buffer, self._at
        piece = apply_mask(buffer[at : at + self._left], self._mask)
        self._at = at + len(piece)
        self._left -= len(piece)
        turn = len(piece) % 4
        self._mask = self._mask[turn:] + self._mask[:turn]
        if self._skips:
            piece = piece[: PREFIX_BYTES - len(self._message)]
        self._message += piece
        return not self._left

    def _finish(self) -> Frame:
        """The message that has been put together."""
        opcode, message = SKIPPED if self._skips else self._opcode, self._message
        self._opcode, self._message, self._size = CONT, bytearray(), 0
        self._granted = self._skips = False
        if opcode == TEXT and not is_utf8(message):
            raise _not_utf8()
        return opcode, message


def frame(opcode: int, data: bytes, *, fin: bool = True) -> bytes:
    """A frame as a server sends it."""
    first = opcode | _FIN if fin else opcode
    length = len(data)
    if length < 126:
        return bytes((first, length)) + data
    if length < 2**16:
        return struct.pack("!BBH", first, 126, length) + data
    return struct.pack("!BBQ", first, 127, length) + data


def close_frame(code: int, reason: str) -> bytes:
    """A close frame; a long reason is cut."""
    text = reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore").encode()
    return frame(CLOSE, code.to_bytes(2, "big") + text)


def read_close(data: bytes | bytearray) -> int | None:
    """The code of a close frame; ``None`` when it has none. Raises `FrameError`."""
    if not data:
        return None
    code = int.from_bytes(data[:2], "big")
    if len(data) < 2 or code not in _CLOSE_CODES:
        raise FrameError(1002, "invalid close frame")
    if not is_utf8(data[2:]):
        raise _not_utf8()
    return code


def is_utf8(data: bytes | bytearray) -> bool:
    """Whether it is; decoded piece by piece, as text takes up to four times the room."""
    if data.isascii():
        return True
    decoder, view = codecs.getincrementaldecoder("utf-8")(), memoryview(data)
    try:
        for at in range(0, len(view), PIECE_BYTES):
            decoder.decode(view[at : at + PIECE_BYTES], final=at + PIECE_BYTES >= len(view))
    except UnicodeDecodeError:
        return False
    return True


def _not_utf8() -> FrameError:
    return FrameError(1007, "a text message is not valid UTF-8")
