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
_INVALID: Final = frozenset({6, 7})
_FIXED: Final = {_I64: 8, _I32: 4}


def expect_few_parts(data: bytes, begin: int = 0) -> None:
    """Of Protocol Buffers, from ``begin`` on. Raises `BrokerProtocolError`."""
    if len(data) <= UNCOUNTED_BYTES:
        return
    at, end, parts = begin, len(data), 0
    while at < end:
        parts += 1
        if parts > PARTS_MAX:
            raise _too_many()
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind in _INVALID:
            return
        if kind == _LEN:
            length, at = _varint(data, at)
            at += length
        elif kind == _VARINT:
            _, at = _varint(data, at)
        else:  # what begins and ends a group has no bytes of its own
            at += _FIXED.get(kind, 0)


def expect_few_objects(data: bytes) -> None:
    """Of JSON. Raises `BrokerProtocolError`."""
    if len(data) > UNCOUNTED_BYTES and data.count(b"{") > PARTS_MAX:
        raise _too_many()


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
