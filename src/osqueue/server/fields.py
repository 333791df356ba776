"""A request looked at field by field: only when it has been refused as a whole.

Whole numbers may be written as ``3.0``: JSON knows one kind of number, so they are integers, too.
Payloads and results are left as they are.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

__all__ = ["not_utf8", "with_plain_integers"]

_WHOLE: Final = re.compile(rb"(-?[0-9]+)\.0+")
_KEPT: Final = frozenset({"payload", "result"})
_NESTED: Final = frozenset({"retry", "maxByType", "error", "worker"})
"""Objects with numbers in them."""

_JOBS: Final = "jobs"

_fields = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])
_encode = msgspec.json.Encoder().encode


def not_utf8(body: bytes) -> str:
    """What is said of a body that is not UTF-8: the field, if it is inside of one."""
    for name, raw in _fields.decode(body).items():
        try:
            bytes(raw).decode()
        except UnicodeDecodeError:
            return f"`{name}`: it is not valid UTF-8"
    return "the body is not valid UTF-8"


def with_plain_integers(body: bytes) -> bytes:
    """A request with its fields, and those of its ``jobs``, in the plain spelling.

    Raises `msgspec.DecodeError` when it is no JSON object.
    """
    fields = _plain_fields(body)
    jobs = bytes(fields.get(_JOBS, b""))
    if jobs.startswith(b"["):
        items = [bytes(item) for item in _items.decode(jobs)]
        fields[_JOBS] = Raw(_encode([_plain_item(item) for item in items]))
    return _encode(fields)


def _plain_item(text: bytes) -> Raw:
    return Raw(_encode(_plain_fields(text)) if text.startswith(b"{") else text)


def _plain_fields(text: bytes) -> dict[str, Raw]:
    fields = _fields.decode(text)
    return {name: _plain_field(name, raw) for name, raw in fields.items()}


def _plain_field(name: str, raw: Raw) -> Raw:
    if name in _KEPT:
        return raw
    text = bytes(raw)
    if name in _NESTED and text.startswith(b"{"):
        inner = {each: _plain(bytes(value)) for each, value in _fields.decode(text).items()}
        return Raw(_encode(inner))
    return _plain(text)


def _plain(text: bytes) -> Raw:
    whole = _WHOLE.fullmatch(text)
    return Raw(text if whole is None else whole.group(1))
