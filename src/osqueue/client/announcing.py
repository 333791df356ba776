"""From the JSON Schemas of job types to the requests that announce them, and back. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw, UnsetType

from osqueue.config import TYPE_SCHEMA_BYTES_MAX, TYPES_BYTES_MAX, TYPES_KNOWN_MAX
from osqueue.errors import PayloadValidationError
from osqueue.wire.messages import AnnounceRequest, JobTypeInfo, JobTypes

__all__ = ["JsonSchemas", "announcements", "schemas_of"]

JsonSchemas: TypeAlias = Mapping[str, Mapping[str, Any] | None]
"""What payloads must be, by job type; ``None``: nothing is said of it."""

_encode = msgspec.json.Encoder().encode


def announcements(schemas: JsonSchemas, bytes_max: int) -> Iterator[AnnounceRequest]:
    """Requests of at most so many bytes of schemas. One that no broker takes is left out, but not
    its type.

    Raises `PayloadValidationError` for a schema that is no JSON.
    """
    bytes_max = min(bytes_max, TYPES_BYTES_MAX)
    batch: dict[str, JobTypeInfo] = {}
    size = 0
    for name, schema in schemas.items():
        text = b"" if schema is None else _text(name, schema)
        if len(text) > min(bytes_max, TYPE_SCHEMA_BYTES_MAX):
            text = b""
        if batch and (size + len(text) > bytes_max or len(batch) == TYPES_KNOWN_MAX):
            yield AnnounceRequest(batch)
            batch, size = {}, 0
        batch[name] = JobTypeInfo(schema=Raw(text)) if text else JobTypeInfo()
        size += len(text)
    if batch:
        yield AnnounceRequest(batch)


def schemas_of(answer: JobTypes) -> dict[str, dict[str, Any] | None]:
    """The same, as a broker knows them."""
    return {name: _schema(info.schema) for name, info in answer.types.items()}


def _schema(text: Raw | UnsetType) -> dict[str, Any] | None:
    return None if isinstance(text, UnsetType) else msgspec.json.decode(text, type=dict[str, Any])


def _text(name: str, schema: Mapping[str, Any]) -> bytes:
    try:
        return _encode(dict(schema))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise PayloadValidationError(f"the schema of {name!r} is not JSON: {error}") from error
