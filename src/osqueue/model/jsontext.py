"""Checking a large JSON text piece by piece, so that no step takes long.

Whoever checks 64 MiB in one call of C holds up everything else in the process meanwhile. Here the
text is cut where a cut does no harm: outside of strings behind a bracket, a comma, a colon or a
space, and inside of a string between two characters. Each piece is made a whole JSON text again by
what would have to stand before and behind it, and is then read by the same decoder that reads small
requests. So the text is JSON exactly when all pieces are, and what is accepted does not depend on
the size: it is what `msgspec` takes and `payload_fault` lets pass.

The argument: as long as all pieces so far were accepted, the brackets that are open and what was
read last are known for certain; a piece whose own state is judged wrongly (a backslash outside of
a string, say) is no beginning of a JSON text in that place, and the decoder refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from osqueue.model.payload import (
    NOT_UTF8,
    TOO_DEEP,
    TOO_LONG,
    BracketError,
    blank_escapes,
    has_long_number,
    is_utf8,
    too_deep,
)

__all__ = ["PIECE_BYTES", "json_fault"]

PIECE_BYTES: Final = 64 * 1024
"""Bytes of one piece: about a millisecond of work, in calls of a fraction of that."""

UNCUT_BYTES_MAX: Final = 64 * 1024
"""Longest stretch without a place to cut: a number with all the digits that it may have has 13 kB,
a character in a string 12 bytes."""

NOT_JSON: Final = "it is not valid JSON"

_LITERAL: Final = b"0123456789+-.eEtrufalsn"
_SPACE: Final = b" \t\r\n"
_CLOSER: Final = {0x5B: b"]", 0x7B: b"}"}
_LIST: Final = 0x5B
_CHARACTERS: Final = re.compile(
    rb"(?:[^\\]++|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\[^u])*+",
    re.DOTALL,
)
_decode = msgspec.json.Decoder(Raw).decode


def json_fault(text: bytes, *, piece_bytes: int = PIECE_BYTES) -> str | None:
    """Why a text is no payload that can be kept; ``None`` when it is one."""
    check = _Check(text, piece_bytes)
    try:
        while not check.done:
            check.step()
    except _FaultError as fault:
        return str(fault)
    return None


class _FaultError(ValueError):
    """The text is refused."""


class _Check:
    """How far a text has been read, and what stands open there."""

    def __init__(self, text: bytes, piece_bytes: int) -> None:
        self._text = text
        self._piece_bytes = piece_bytes
        self._at = 0
        self._open = bytearray()
        self._before = b""
        """What was read last, a string that is open left aside: one of ``[{,:``, ``v`` for a value,
        ``k`` for a key; nothing at the beginning."""
        self._in_string = False
        self.done = False

    def step(self) -> None:
        """Read one more piece."""
        prefix = self._prefix()
        piece, outside, ends_in_string = self._next_piece()
        if not is_utf8(piece):
            raise _FaultError(NOT_UTF8)
        try:
            if too_deep(outside, self._open):
                raise _FaultError(TOO_DEEP)
        except BracketError:
            raise _FaultError(NOT_JSON) from None
        if has_long_number(outside):
            raise _FaultError(TOO_LONG)
        self._note(outside)
        self._in_string = ends_in_string
        self._at += len(piece)
        self.done = self._at >= len(self._text)
        try:
            _decode(b"%b%b%b" % (prefix, piece, b"" if self.done else self._suffix()))
        except (msgspec.DecodeError, RecursionError):
            raise _FaultError(NOT_JSON) from None

    def _next_piece(self) -> tuple[bytes, bytes, bool]:
        """A piece, its text outside of strings (each an ``s``), and whether a string stays open."""
        size = self._piece_bytes
        while True:
            window = self._text[self._at : self._at + size]
            blanked = blank_escapes(window)
            in_string = self._in_string ^ (blanked.count(b'"') % 2 == 1)
            cut = len(window)
            if self._at + cut < len(self._text):
                following = self._text[self._at + cut]
                cut = _cut_in(window, blanked, following) if in_string else _cut_outside(window)
            if cut > 0:
                return window[:cut], self._outside(blanked[:cut]), in_string
            if size >= UNCUT_BYTES_MAX:
                raise _FaultError(NOT_JSON)
            size *= 2

    def _outside(self, blanked: bytes) -> bytes:
        parts = blanked.split(b'"')
        if not self._in_string:
            return b"s".join(parts[::2])
        return b"s" + b"s".join(parts[1::2]) if len(parts) > 1 else b""

    def _note(self, outside: bytes) -> None:
        """Remember what was read last."""
        read = outside.rstrip(_SPACE)
        if not read:
            return
        last = read[-1:]
        if last == b"s":
            before = read[:-1].rstrip(_SPACE)[-1:] or self._before
            last = b"k" if self._names_key(before) else b"v"
        self._before = last if last in b"[{,:k" else b"v"

    def _names_key(self, before: bytes) -> bool:
        """Whether a string behind ``before`` is the name of a member."""
        return before == b"{" or (before == b"," and self._open[-1:] == b"{")

    def _prefix(self) -> bytes:
        """What makes the rest of the text one of its own, before it."""
        if not self._open:
            start = b'""' if self._before == b"v" else b""
        else:
            outer = b"".join([b"[" if each == _LIST else b'{"":' for each in self._open[:-1]])
            start = outer + self._told(_BEGIN)
        return start + b'"' if self._in_string else start

    def _suffix(self) -> bytes:
        """What makes the text so far one of its own, behind it."""
        closers = b"".join([_CLOSER[each] for each in reversed(self._open)])
        if self._in_string:
            return (b'":0' if self._names_key(self._before) else b'"') + closers
        if not self._open:
            return b"" if self._before == b"v" else b"0"
        return self._told(_END) + closers

    def _told(self, table: Mapping[tuple[bytes, bool], bytes]) -> bytes:
        text = table.get((self._before, self._open[-1] == _LIST))
        if text is None:  # such as a colon in a list
            raise _FaultError(NOT_JSON)
        return text


_BEGIN: Final = {
    (b"[", True): b"[",
    (b",", True): b'["",',
    (b"v", True): b'[""',
    (b"{", False): b"{",
    (b",", False): b'{"":"",',
    (b"k", False): b'{""',
    (b":", False): b'{"":',
    (b"v", False): b'{"":""',
}
"""By what was read last, and whether in a list: the same in short."""

_END: Final = {
    (b"[", True): b"",
    (b",", True): b"0",
    (b"v", True): b"",
    (b"{", False): b"",
    (b",", False): b'"":0',
    (b"k", False): b":0",
    (b":", False): b"0",
    (b"v", False): b"",
}
"""The same from the other side, without the bracket that closes."""


def _cut_outside(window: bytes) -> int:
    """Behind the last byte that no number and no word goes on across."""
    return len(window.rstrip(_LITERAL))


def _cut_in(window: bytes, blanked: bytes, following: int) -> int:
    """Between two characters of the string that the window ends in, escapes and pairs whole."""
    start = blanked.rfind(b'"') + 1
    if b"\\" in window[start:]:
        match = _CHARACTERS.match(window, start)
        assert match is not None, "the pattern matches nothing, too"
        if match.end() < len(window):
            return match.end()
    cut = len(window)
    for _ in range(3):
        if cut > start and 0x80 <= following < 0xC0:  # in the middle of a character
            cut -= 1
            following = window[cut]
    return cut
