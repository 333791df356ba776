"""Messages in a stream of Connect: a byte of flags, four of length, the message.

The last one is JSON: how the stream has ended.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final, Protocol

import msgspec

from osqueue.errors import TransportConnectionError, TransportRequestError

__all__ = ["Envelope", "enveloped", "read"]

HEAD_BYTES: Final = 5
_LAST: Final = 0x02


class Source(Protocol):
    """A body that is still coming."""

    async def readany(self) -> bytes:
        """What has come, at least a byte; nothing at the end."""
        ...


class Envelope(msgspec.Struct, frozen=True):
    """One message; the ``last`` one says how the stream has ended."""

    data: bytes
    last: bool


def enveloped(message: bytes) -> bytes:
    """A message as it travels."""
    return b"\0" + len(message).to_bytes(4, "big") + message


async def read(source: Source, bytes_max: int) -> AsyncGenerator[Envelope, None]:
    """The messages, up to the last. Raises `TransportConnectionError` when that does not come."""
    buffer = bytearray()
    while chunk := await source.readany():
        buffer += chunk
        while (envelope := _take(buffer, bytes_max)) is not None:
            yield envelope
            if envelope.last:
                return
    raise TransportConnectionError("the stream broke off")


def _take(buffer: bytearray, bytes_max: int) -> Envelope | None:
    """The first message, if it is whole; it is removed."""
    if len(buffer) < HEAD_BYTES:
        return None
    flags, size = buffer[0], int.from_bytes(buffer[1:HEAD_BYTES], "big")
    if flags & ~_LAST:
        raise TransportRequestError("the stream holds a message in a form that was not asked for")
    if size > bytes_max:
        raise TransportRequestError(
            f"the stream holds a message of {size} bytes; answer_bytes_max is {bytes_max}"
        )
    end = HEAD_BYTES + size
    if len(buffer) < end:
        return None
    data = bytes(buffer[HEAD_BYTES:end])
    del buffer[:end]
    return Envelope(data, bool(flags & _LAST))
