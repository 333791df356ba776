"""`typing.TypedDict` in a schema, on every Python: what is required stays required."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, Optional, Required, TypedDict

import pytest
import typing_extensions
from pydantic import ConfigDict, Field

from osqueue.errors import ConfigError, PayloadValidationError
from osqueue.jobs import Schema
from osqueue.jobs.typed_dicts import modern


class Line(TypedDict):
    price: float
    note: NotRequired[str]


class Loose(TypedDict, total=False):
    price: Required[float]
    note: str


class Longer(Loose):
    count: int


class Order(TypedDict):
    first: Line
    all: list[Line]
    maybe: Line | None
    old: Optional[Line]  # noqa: UP045 - both are written
    by_name: dict[str, tuple[Line, ...]]
    priced: Annotated[Line, Field(description="with a price")]


class Strict(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    price: float


class Chain(TypedDict):
    further: NotRequired[Chain]


class Modern(typing_extensions.TypedDict):
    price: float


LINE = {"price": 1.0}


def missing(wanted: Any, value: Any) -> list[str]:
    with pytest.raises(PayloadValidationError) as refusal:
        Schema.of(wanted).encode(value)
    return [path for path, text in refusal.value.errors if text == "is required"]


@pytest.mark.parametrize(
    ("wanted", "required"),
    [(Line, ["price"]), (Loose, ["price"]), (Longer, ["price", "count"]), (Modern, ["price"])],
)
def test_schema_when_of_a_typed_dict_then_it_knows_what_is_required(
    wanted: Any, required: list[str]
) -> None:
    assert missing(wanted, {}) == required


def test_schema_when_typed_dicts_are_parts_then_they_are_found_everywhere() -> None:
    parts = {
        "first": LINE,
        "all": [LINE],
        "maybe": LINE,
        "old": None,
        "by_name": {"a": [LINE]},
        "priced": LINE,
    }
    schema = Schema.of(Order)
    assert schema.decode(schema.encode(parts)) == {**parts, "by_name": {"a": (LINE,)}}
    assert missing(list[Order], [{**parts, "all": [LINE, {}]}]) == ["[0].all[1].price"]


def test_schema_when_the_typed_dict_says_how_then_so_it_is_checked() -> None:
    schema = Schema.of(Strict)
    assert schema.decode(schema.encode({"price": 1, "more": 2})) == {"price": 1.0, "more": 2}


def test_schema_when_a_typed_dict_holds_itself_then_it_works_or_config_error_says_what_helps() -> (
    None
):
    try:
        Schema.of(Chain).prepare()
    except ConfigError as error:
        told = str(error)
    else:
        told = "typing_extensions.TypedDict"  # as of Python 3.12, where it just works
    assert "typing_extensions.TypedDict" in told


@pytest.mark.parametrize("wanted", [int, list[int], int | None, Modern, None, "text"])
def test_modern_when_nothing_is_to_be_said_anew_then_the_same(wanted: Any) -> None:
    assert modern(wanted) is wanted
