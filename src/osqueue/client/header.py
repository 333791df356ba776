"""The leader that a state object names, read without decoding the jobs. Pure.

Our brokers write every field of the header before ``,"jobs":[``, so what stands before it, closed
with a brace, is the header. In JSON these bytes are always a key: a quote inside of a string is
escaped. When the key is not the object's own but one nested deeper, what stands before it does
not become JSON by one brace; and when the header is not whole, because another implementation
orders its keys differently, a field is missing. Then the whole object is decoded.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from osqueue.errors import CorruptStateError

__all__ = ["Leader", "read_leader"]

_JOBS: Final = b',"jobs":['


class Leader(msgspec.Struct, frozen=True):
    """Who leads: the ``host:port`` to dial, ``None`` when nobody does; and the epoch, if told."""

    address: str | None
    epoch: int | None = None


class _Header(msgspec.Struct):
    broker: str | UnsetType | None = UNSET
    epoch: int | UnsetType | None = UNSET


_decoder: Final = msgspec.json.Decoder(_Header)


def read_leader(data: bytes) -> Leader:
    """The leader that these bytes name. Raises `CorruptStateError` when they are no state."""
    header = _before_jobs(data) or _whole(data)
    broker, epoch = header.broker, header.epoch
    return Leader(None if broker is UNSET else broker, None if epoch is UNSET else epoch)


def _before_jobs(data: bytes) -> _Header | None:
    end = data.find(_JOBS)
    if end < 0:
        return None
    try:
        header = _decoder.decode(data[:end] + b"}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if UNSET in (header.broker, header.epoch) else header


def _whole(data: bytes) -> _Header:
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = "is empty" if not data.strip() else f"is not a state object: {error}"
        raise CorruptStateError(what) from error
