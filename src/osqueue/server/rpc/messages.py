"""Messages of Protocol Buffers to and from bytes; large ones on a thread.

Each MiB takes up to 4 ms, in JSON 10, and the library lets others run meanwhile.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, TypeVar

from protobuf import Message

from osqueue.config import ROOMY_BYTES
from osqueue.errors import BrokerProtocolError

__all__ = ["decode", "encode", "is_large"]

MessageT = TypeVar("MessageT", bound=Message[Any])


async def decode(kind: type[MessageT], data: bytes, *, as_text: bool = False) -> MessageT:
    """The message in ``data``. Raises `BrokerProtocolError`."""
    decoding = partial(_decode, kind, data, as_text=as_text)
    return decoding() if len(data) <= ROOMY_BYTES else await asyncio.to_thread(decoding)


async def encode(message: Message[Any], *, as_text: bool = False) -> bytes:
    """A message as bytes."""
    encoding = partial(_encode, message, as_text=as_text)
    return await asyncio.to_thread(encoding) if is_large(message) else encoding()


def is_large(message: Any) -> bool:
    """Whether an answer brings so many payloads that it should not be encoded in one go."""
    jobs = getattr(message, "jobs", None)
    each = [message] if jobs is None else jobs
    return sum([len(getattr(job, "payload", b"")) for job in each]) > ROOMY_BYTES


def _decode(kind: type[MessageT], data: bytes, *, as_text: bool) -> MessageT:
    try:
        if as_text:
            return kind.from_json(data, ignore_unknown_fields=True)
        return kind.from_binary(data)
    except Exception as error:  # the library has no class of its own for it
        name = kind.desc().type_name
        raise BrokerProtocolError(f"cannot decode message {name}: {error}") from error


def _encode(message: Message[Any], *, as_text: bool) -> bytes:
    return message.to_json().encode() if as_text else message.to_binary()
