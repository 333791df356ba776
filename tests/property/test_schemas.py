"""Typed payloads of every kind: what leaves comes back the same, or never leaves.

Laws: what a schema encodes, it decodes to an equal value, again and again. What it refuses, of
whatever is thrown at it, it refuses as a payload, in few words.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from pydantic import BaseModel, ConfigDict, Field

from osqueue.errors import PayloadValidationError
from osqueue.jobs import Schema


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Model(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    text: str = Field(alias="Text")
    when: datetime = Field(alias="theTime")
    day: date | None = None
    price: Decimal
    key: UUID
    blob: bytes = b""
    either: int | str
    names: dict[str, float]
    pairs: list[tuple[int, bool]]
    colours: set[Colour]
    lasts: timedelta
    kind: Literal["a", "b"]
    inner: list[Model] = []


@dataclasses.dataclass
class Record:
    text: str
    when: datetime
    price: Decimal
    key: UUID
    either: int | str | None
    names: dict[str, float]
    pairs: list[tuple[int, bool]]
    colours: set[Colour]
    lasts: timedelta
    day: date | None = None
    inner: list[Record] = dataclasses.field(default_factory=list)


class Row(TypedDict):
    text: str
    when: datetime
    price: Decimal
    key: UUID
    either: int | str
    names: dict[str, float]
    pairs: list[tuple[int, bool]]
    day: NotRequired[date]


class Entry(NamedTuple):
    text: str
    when: datetime
    price: Decimal
    either: int | str
    names: dict[str, float]
    day: date | None = None


class Item(msgspec.Struct, rename="camel"):
    text: str
    when: datetime
    price: Decimal
    the_key: UUID
    either: int | str
    names: dict[str, float]
    pairs: list[tuple[int, bool]]
    colours: set[Colour]
    lasts: timedelta
    blob: bytes = b""
    day: date | None = None
    inner: list[Item] = []


INTEGERS = st.integers(-(2**63), 2**63 - 1)
OFFSETS = st.integers(-12 * 60, 12 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(),
    "when": st.datetimes(
        min_value=datetime.fromisoformat("0001-01-03"),
        max_value=datetime.fromisoformat("9999-12-29"),
        timezones=OFFSETS,
    ),
    "day": st.dates(),
    "price": st.decimals(allow_nan=False, allow_infinity=False),
    "key": st.uuids(),
    "blob": st.binary(),
    "either": INTEGERS | st.text(),
    "names": st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
    "pairs": st.lists(st.tuples(INTEGERS, st.booleans()), max_size=3),
    "colours": st.sets(st.sampled_from(Colour)),
    "lasts": st.timedeltas(min_value=timedelta(days=-10_000), max_value=timedelta(days=10_000)),
    "kind": st.sampled_from(["a", "b"]),
}


def fields(*names: str, optional: tuple[str, ...] = ()) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {name: FIELDS[name] for name in names},
        optional={name: FIELDS[name] for name in optional},
    )


COMMON = ("text", "when", "price", "either", "names")
MORE = (*COMMON, "key", "pairs", "colours", "lasts")


def nested(flat: st.SearchStrategy[Any], make: Any) -> st.SearchStrategy[Any]:
    return st.builds(make, flat, st.lists(flat.map(lambda known: make(known, [])), max_size=2))


def model(known: dict[str, Any], inner: list[Model]) -> Model:
    renamed = {"text": "Text", "when": "theTime"}
    return Model(**{renamed.get(name, name): each for name, each in known.items()}, inner=inner)


def record(known: dict[str, Any], inner: list[Record]) -> Record:
    return Record(**known, inner=inner)


def item(known: dict[str, Any], inner: list[Item]) -> Item:
    return Item(
        **{"the_key" if name == "key" else name: each for name, each in known.items()}, inner=inner
    )


VALUES: dict[Any, st.SearchStrategy[Any]] = {
    Model: nested(fields(*MORE, "kind", optional=("day", "blob")), model),
    Record: nested(fields(*MORE, optional=("day",)), record),
    Row: fields(*COMMON, "key", "pairs", optional=("day",)),
    Entry: fields(*COMMON, optional=("day",)).map(lambda known: Entry(**known)),
    Item: nested(fields(*MORE, optional=("day", "blob")), item),
    int | str | None: INTEGERS | st.text() | st.none(),
    list[dict[str, Decimal]]: st.lists(
        st.dictionaries(st.text(), FIELDS["price"], max_size=3), max_size=3
    ),
    dict[int, set[UUID]]: st.dictionaries(INTEGERS, st.sets(st.uuids(), max_size=3), max_size=3),
    tuple[datetime, bool]: st.tuples(FIELDS["when"], st.booleans()),
    Colour: st.sampled_from(Colour),
}
SCHEMAS = {wanted: Schema.of(wanted) for wanted in VALUES}
KINDS = pytest.mark.parametrize("wanted", VALUES, ids=str)


@KINDS
@given(data=st.data())
def test_value_when_encoded_then_it_comes_back_the_same(wanted: Any, data: st.DataObject) -> None:
    value, schema = data.draw(VALUES[wanted]), SCHEMAS[wanted]
    sent = schema.encode(value)
    assert schema.decode(sent) == value
    assert schema.decode(schema.encode(schema.decode(sent))) == value
    json.loads(bytes(sent), parse_constant=pytest.fail)


@KINDS
@given(data=st.data())
def test_raw_when_it_is_what_was_encoded_then_it_is_handed_through(
    wanted: Any, data: st.DataObject
) -> None:
    schema = SCHEMAS[wanted]
    sent = schema.encode(data.draw(VALUES[wanted]))
    assert schema.encode(sent) is sent


def tried(convert: Callable[[Any], Any], value: Any) -> Any:
    """What it makes of a value; ``None`` when it refuses it, which takes few words."""
    try:
        return convert(value)
    except PayloadValidationError as error:
        refusal = error
    assert len(refusal.message) < 2_500
    assert refusal.errors
    return None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
NAMES = st.sampled_from([*FIELDS, "Text", "theTime", "theKey", "inner", "other"])
ANYTHING = JSON | st.dictionaries(NAMES, JSON | st.one_of(*FIELDS.values())) | st.binary()


@KINDS
@given(value=ANYTHING)
def test_anything_when_encoded_then_it_fits_or_is_refused_in_few_words(
    wanted: Any, value: Any
) -> None:
    schema = SCHEMAS[wanted]
    sent = tried(schema.encode, value)
    if sent is not None:
        assert schema.decode(schema.encode(schema.decode(sent))) == schema.decode(sent)


@KINDS
@given(text=st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_bytes_when_decoded_then_they_fit_or_are_refused(wanted: Any, text: bytes) -> None:
    if tried(SCHEMAS[wanted].decode, text) is not None:
        json.loads(text)


@given(where=st.lists(st.sampled_from(["list", "dict", "tuple"]), max_size=5), sign=st.booleans())
def test_number_when_it_is_not_finite_then_it_is_never_sent_as_null(
    where: list[str], *, sign: bool
) -> None:
    value: Any = math.inf if sign else math.nan
    for how in where:
        value = {"list": [None, value], "dict": {"a": None, "b": value}, "tuple": (value,)}[how]
    for wanted in (dict[str, Any], Any, list[Item] | dict[str, Any]):
        with pytest.raises(PayloadValidationError, match="not a number that JSON has"):
            Schema.of(wanted).encode({"value": value})


def test_raw_when_not_of_the_type_then_refused() -> None:
    for wanted in (Model, Record, Row, Entry, Item):
        with pytest.raises(PayloadValidationError):
            Schema.of(wanted).encode(Raw(b"{}"))
