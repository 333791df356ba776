"""Requests of very many parts: a small one can take long to read, which holds up all others.

Each part of a message becomes an object, be it empty, so 1 MiB of empty jobs takes two seconds. No
request that is served has as many parts as are counted here; whatever else is wrong with a message
is for its reader to say.
"""

from __future__ import annotations

from typing import Final

from osqueue.config import KIB
from osqueue.errors import BrokerProtocolError

__all__ = ["PARTS_MAX", "expect_few_objects", "expect_few_parts"]

PARTS_MAX: Final = 4_096
"""Four times as many as there may be jobs, types or leases in a request."""

UNCOUNTED_BYTES: Final = 16 * KIB
"""A smaller message is read in less than 30 ms, whatever is in it."""

_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5
_MORE: Final = 0x80
"""Is set in a byte of a number that has further ones."""

_PLAIN: Final = _MORE | 7
"""Of a tag in one byte: all that tells what kind of part follows."""

_INVALID: Final = frozenset({6, 7})
_FIXED: Final = {_I64: 8, _I32: 4}


def expect_few_parts(data: bytes, begin: int = 0) -> None:
    """Of Protocol Buffers, from ``begin`` on. Raises `BrokerProtocolError`."""
    if len(data) <= UNCOUNTED_BYTES:
        return
    at, end = begin, len(data)
    for _ in range(PARTS_MAX):
        if at >= end - 2:  # fewer bytes hold one part more at the most
            return
        tag, length = data[at], data[at + 1]
        if tag & _PLAIN == _LEN and length < _MORE:
            at += 2 + length
        elif tag & _PLAIN == _LEN and data[at + 2] < _MORE:
            at += 3 + (length & 0x7F | data[at + 2] << 7)
        else:
            at = _after(data, at)
    if at < end:
        raise _too_many()


def expect_few_objects(data: bytes) -> None:
    """Of JSON. Raises `BrokerProtocolError`."""
    if len(data) > UNCOUNTED_BYTES and data.count(b"{") > PARTS_MAX:
        raise _too_many()


def _after(data: bytes, at: int) -> int:
    """Where any part ends that begins there; one that is none takes all the rest."""
    tag, at = _varint(data, at)
    kind = tag & 7
    if kind in _INVALID:
        return len(data)
    if kind == _LEN:
        length, at = _varint(data, at)
        return at + length
    if kind == _VARINT:
        return _varint(data, at)[1]
    return at + _FIXED.get(kind, 0)  # what begins and ends a group has no bytes of its own


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends; one that is cut off ends with the data."""
    value = shift = 0
    for at in range(at, min(at + 10, len(data))):  # noqa: B020, PLR1704 - goes on from there
        value |= (data[at] & 0x7F) << shift
        shift += 7
        if data[at] < 0x80:
            return value, at + 1
    return value, len(data)


def _too_many() -> BrokerProtocolError:
    return BrokerProtocolError(
        f"the request has more than {PARTS_MAX} parts; the largest batch has 1000 jobs"
    )
