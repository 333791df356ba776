"""The JSON Schemas of payloads, as far as they can be had: for those who make jobs by hand."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from osqueue.jobs.schema import Schema

__all__ = ["json_schemas"]

_log = logging.getLogger(__name__)


def json_schemas(schemas: Mapping[str, Schema | None]) -> dict[str, dict[str, Any] | None]:
    """By job type; ``None`` where any JSON will do, where the type has not been imported yet, and
    where JSON Schema cannot say what it is. Takes some milliseconds for each.
    """
    return {name: _json_schema(name, schema) for name, schema in schemas.items()}


def _json_schema(name: str, schema: Schema | None) -> dict[str, Any] | None:
    if schema is None or schema.reference is not None:
        return None
    try:
        return schema.json_schema()
    except Exception as error:  # noqa: BLE001 - whatever msgspec, pydantic or the type may raise
        _log.debug("there is no JSON Schema of %r: %s", name, error)
        return None
