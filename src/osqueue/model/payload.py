"""What a payload must be, checked once where it comes in.

The decoder that cuts a payload out of a request has seen that it is JSON. It lets three things
through that would make the state object unreadable, here or for plain `json`: bytes that are not
UTF-8, nesting without end, and integers without end. Small payloads cannot hold the last two, so
for most this costs one pass over the bytes. Large payloads are checked by `osqueue.model.jsontext`,
which accepts exactly the same.
"""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Raw, UnsetType

from osqueue.config import PAYLOAD_DEPTH_MAX, PAYLOAD_DIGITS_MAX

__all__ = [
    "NOT_UTF8",
    "TOO_DEEP",
    "TOO_LONG",
    "BracketError",
    "blank_escapes",
    "has_long_number",
    "is_utf8",
    "payload_fault",
    "too_deep",
]

NOT_UTF8: Final = "it is not valid UTF-8"
TOO_DEEP: Final = f"it is nested deeper than {PAYLOAD_DEPTH_MAX} levels"
TOO_LONG: Final = f"it has a number of more than {PAYLOAD_DIGITS_MAX} digits"

_ZEROS: Final = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_FLAT_BYTES_MAX: Final = 2 * PAYLOAD_DEPTH_MAX
"""A shorter text has no room for too many brackets, nor for too many digits."""

_LONG_NUMBER: Final = b"0" * (PAYLOAD_DIGITS_MAX + 1)
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
assert _FLAT_BYTES_MAX <= PAYLOAD_DIGITS_MAX, "or short texts have to be looked at for digits"
_CLOSES: Final = {0x5D: 0x5B, 0x7D: 0x7B}
_FOLDS: Final = 3
"""Rounds of taking out empty pairs before the brackets are walked one by one: most are leaves. A
round takes out two levels at most, one of each kind."""


class BracketError(ValueError):
    """A bracket closes what is not open."""


def payload_fault(payload: Raw | UnsetType) -> str | None:
    """Why a payload, cut out of JSON, cannot be kept; ``None`` when it can."""
    if payload is UNSET:
        return None
    text = bytes(payload)
    if len(text) <= _FLAT_BYTES_MAX and text.isascii():
        return None  # as most are
    if not is_utf8(text):
        return NOT_UTF8
    deep = len(text) > _FLAT_BYTES_MAX and _openers(text) > PAYLOAD_DEPTH_MAX
    long = len(text) > PAYLOAD_DIGITS_MAX and has_long_number(text)
    if not deep and not long:
        return None
    outside = b"s".join(blank_escapes(text).split(b'"')[::2])
    if deep and too_deep(outside, bytearray()):
        return TOO_DEEP
    return TOO_LONG if long and has_long_number(outside) else None


def is_utf8(text: bytes) -> bool:
    """Whether bytes are a Unicode text."""
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def blank_escapes(text: bytes) -> bytes:
    """The same length of text, in which every quote begins or ends a string."""
    if b"\\" not in text:
        return text
    return text.replace(b"\\\\", b"__").replace(b'\\"', b"__")


def has_long_number(outside: bytes) -> bool:
    """Whether there are more digits in a row than a reader takes."""
    return _LONG_NUMBER in outside.translate(_ZEROS)


def too_deep(outside: bytes, open_: bytearray) -> bool:
    """Whether text without strings nests deeper than a reader follows.

    ``open_`` holds the brackets that are open before the text, and is left with those behind it.
    Raises `BracketError` for a bracket that closes another.
    """
    brackets = few = outside.translate(None, _NO_BRACKETS)
    for _ in range(_FOLDS):
        few = few.replace(b"[]", b"").replace(b"{}", b"")
    before = bytes(open_)
    depth = _walk(few, open_)
    if depth <= PAYLOAD_DEPTH_MAX < depth + 2 * _FOLDS:
        open_[:] = before
        depth = _walk(brackets, open_)
    return depth > PAYLOAD_DEPTH_MAX


def _walk(brackets: bytes, open_: bytearray) -> int:
    """The deepest nesting on the way through brackets."""
    depth = len(open_)
    for bracket in brackets:
        opener = _CLOSES.get(bracket)
        if opener is None:
            open_.append(bracket)
            depth = max(depth, len(open_))
        elif not open_ or open_.pop() != opener:
            raise BracketError
    return depth


def _openers(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")
