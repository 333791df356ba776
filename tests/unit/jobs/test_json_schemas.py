"""JSON Schemas of the payloads of a program's job types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from pydantic import BaseModel

from osqueue.jobs import JobType, Registry


class Point(msgspec.Struct):
    x: int


class Mail(BaseModel):
    to: str
    cc: list[str] = []


class Odd(BaseModel):
    call: Callable[[], None]


def test_schemas_when_asked_for_then_of_each_type_whatever_its_payload_is() -> None:
    registry = Registry({"point": Point, "mail": Mail, "any": Any, "ints": JobType(list[int])})
    schemas = registry.json_schemas()
    assert schemas["point"] == msgspec.json.schema(Point)
    assert schemas["mail"] == Mail.model_json_schema()
    assert schemas["any"] is None
    assert schemas["ints"] == {"type": "array", "items": {"type": "integer"}}


def test_schema_when_json_schema_cannot_say_what_a_type_is_then_there_is_none() -> None:
    assert Registry({"odd": Odd, "point": Point}).json_schemas().keys() == {"odd", "point"}
    assert Registry({"odd": Odd}).json_schemas() == {"odd": None}


def test_schema_when_its_type_was_not_imported_then_it_is_not_for_this() -> None:
    registry = Registry({"later": "no.such.module:Type"})
    assert registry.json_schemas() == {"later": None}
