"""Payloads between Python values and JSON. Pure.

What goes in comes out as `json` would give it back: nothing is changed silently. A `msgspec.Raw`
is JSON already and is handed through.
"""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
from msgspec import Raw

from osqueue.errors import PayloadValidationError

__all__ = ["decode_payload", "encode_payload", "encode_result"]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def encode_payload(payload: object) -> Raw:
    """JSON of a value: of what `json` takes, and of dataclasses, structs, dates, UUIDs and sets.

    Raises `PayloadValidationError` with the reason.
    """
    return _encoded("payload", payload)


def encode_result(result: object) -> Raw:
    """The same for what a handler brings."""
    return _encoded("result", result)


def _encoded(what: str, value: object) -> Raw:
    if isinstance(value, Raw):
        return value
    try:
        encoded = _encode(value)
        if b"null" in encoded:
            _refuse_not_finite(msgspec.to_builtins(value))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise PayloadValidationError(f"the {what} cannot be kept as JSON: {error}") from error
    return Raw(encoded)


def decode_payload(encoded: bytes) -> Any:
    """The value of a job's payload. Raises `PayloadValidationError` when it is not JSON."""
    try:
        return _decode(encoded)
    except (ValueError, RecursionError):
        return _decode_leniently(encoded)


def _decode_leniently(encoded: bytes) -> Any:
    """What is JSON but beyond `msgspec`: numbers such as 1e999, lone surrogates."""
    try:
        return json.loads(encoded)
    except (ValueError, RecursionError) as error:
        raise PayloadValidationError(f"the payload is not JSON: {error}") from error


def _refuse_not_finite(value: object) -> None:
    """Refuse NaN and infinities, which `msgspec` would write as null."""
    match value:
        case float() if not math.isfinite(value):
            raise ValueError(f"{value} is not a JSON number")
        case dict():
            for each in value.values():
                _refuse_not_finite(each)
        case list() | tuple() | set() | frozenset():
            for each in value:
                _refuse_not_finite(each)
