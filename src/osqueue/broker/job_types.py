"""What a leader was told of job types: the JSON Schemas of their payloads.

Only in memory, and only for those who make jobs by hand: nothing is checked against a schema here.
Laws: what is kept is JSON that can be sent to anybody; there is a bound on the number and bytes of
all of them, and the types that were announced longest ago make room; a request changes all or
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw, UnsetType

from osqueue.config import (
    TYPE_SCHEMA_BYTES_MAX,
    TYPES_BYTES_MAX,
    TYPES_KNOWN_BYTES_MAX,
    TYPES_KNOWN_MAX,
)
from osqueue.errors import BrokerProtocolError
from osqueue.model.payload import payload_fault
from osqueue.wire.messages import JobTypeInfo

__all__ = ["KnownTypes"]

_read_object = msgspec.json.Decoder(dict[str, Raw]).decode


class KnownTypes:
    """The job types of one queue that were announced."""

    def __init__(
        self, *, most: int = TYPES_KNOWN_MAX, bytes_max: int = TYPES_KNOWN_BYTES_MAX
    ) -> None:
        self._most = most
        self._bytes_max = bytes_max
        self._schemas: dict[str, bytes] = {}
        """The one that was announced longest ago stands first; nothing where there is no schema."""
        self._bytes = 0

    def announce(self, types: Mapping[str, JobTypeInfo]) -> None:
        """Take in job types. Raises `BrokerProtocolError` for a schema that cannot be kept."""
        schemas = {name: _text(name, info.schema) for name, info in types.items()}
        if sum(map(len, schemas.values())) > TYPES_BYTES_MAX:
            raise BrokerProtocolError(
                f"`types`: the schemas of one request are larger than {TYPES_BYTES_MAX} bytes: "
                "announce them in several"
            )
        for name, text in schemas.items():
            self._drop(name)
            self._schemas[name] = text
            self._bytes += len(text)
        while len(self._schemas) > self._most or self._bytes > self._bytes_max:
            self._drop(next(iter(self._schemas)))

    def all(self) -> dict[str, JobTypeInfo]:
        """The types that are known, by name."""
        return {
            name: JobTypeInfo(schema=Raw(text)) if text else JobTypeInfo()
            for name, text in self._schemas.items()
        }

    def _drop(self, name: str) -> None:
        self._bytes -= len(self._schemas.pop(name, b""))


def _text(name: str, schema: Raw | UnsetType) -> bytes:
    """A schema that may be kept, apart from its request. Raises `BrokerProtocolError`."""
    if isinstance(schema, UnsetType):
        return b""
    text = bytes(schema)
    if len(text) > TYPE_SCHEMA_BYTES_MAX:
        raise BrokerProtocolError(
            f"`types`: the schema of {name!r} is larger than {TYPE_SCHEMA_BYTES_MAX} bytes"
        )
    fault = _fault(text)
    if fault is not None:
        raise BrokerProtocolError(f"`types`: the schema of {name!r} cannot be kept: {fault}")
    return text


def _fault(text: bytes) -> str | None:
    """It may come as bytes that nobody has read."""
    try:
        _read_object(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"it is not a JSON object: {error}"
    return payload_fault(Raw(text))
