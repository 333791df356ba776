"""What a payload must be, checked once where it comes in.

The decoder that cuts a payload out of a request has seen that it is JSON. It lets three things
through that would make the state object unreadable, here or for plain `json`: bytes that are not
UTF-8, nesting without end, and integers without end. Small payloads cannot hold the last two, so
for most this costs one pass over the bytes.
"""

from __future__ import annotations

import re

from msgspec import UNSET, Raw, UnsetType

from osqueue.config import PAYLOAD_DEPTH_MAX, PAYLOAD_DIGITS_MAX

__all__ = ["payload_fault"]

_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % (PAYLOAD_DIGITS_MAX + 1))
_OUTSIDE_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])', re.DOTALL)


def payload_fault(payload: Raw | UnsetType) -> str | None:
    """Why a payload, cut out of JSON, cannot be kept; ``None`` when it can."""
    if payload is UNSET:
        return None
    text = bytes(payload)
    if not text.isascii() and not _is_utf8(text):
        return "it is not valid UTF-8"
    if len(text) > 2 * PAYLOAD_DEPTH_MAX and _depth(text) > PAYLOAD_DEPTH_MAX:
        return f"it is nested deeper than {PAYLOAD_DEPTH_MAX} levels"
    if len(text) > PAYLOAD_DIGITS_MAX and _has_long_number(text):
        return f"it has a number of more than {PAYLOAD_DIGITS_MAX} digits"
    return None


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _depth(text: bytes) -> int:
    if text.count(b"[") + text.count(b"{") <= PAYLOAD_DEPTH_MAX:
        return 0
    depth = deepest = 0
    for match in _OUTSIDE_STRINGS.finditer(text):
        if match.group(1):
            depth += 1
            deepest = max(deepest, depth)
        elif match.group(2):
            depth -= 1
    return deepest


def _has_long_number(text: bytes) -> bool:
    if _LONG_NUMBER.search(text) is None:
        return False
    outside = re.sub(rb'"(?:[^"\\]|\\.)*"', b'""', text)
    return _LONG_NUMBER.search(outside) is not None
