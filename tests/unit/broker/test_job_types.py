"""What is kept of the job types that are announced."""

from __future__ import annotations

import re

import pytest
from msgspec import UNSET, Raw

from osqueue.broker.job_types import KnownTypes
from osqueue.config import TYPE_SCHEMA_BYTES_MAX, TYPES_BYTES_MAX
from osqueue.errors import BrokerProtocolError
from osqueue.wire.messages import JobTypeInfo


def of(text: bytes) -> JobTypeInfo:
    return JobTypeInfo(schema=Raw(text))


def padded(size: int) -> JobTypeInfo:
    return of(b'{"title":"' + b"x" * (size - 12) + b'"}')


def test_types_when_announced_then_known_with_their_schemas() -> None:
    types = KnownTypes()
    types.announce({"a": of(b'{"type": "object"}'), "b": JobTypeInfo()})
    known = types.all()
    assert (known["a"].schema, known["b"].schema) == (Raw(b'{"type": "object"}'), UNSET)


def test_type_when_announced_again_then_as_it_was_said_last() -> None:
    types = KnownTypes()
    types.announce({"a": of(b"{}"), "b": of(b"{}")})
    types.announce({"a": of(b'{"type":"string"}')})
    types.announce({"b": JobTypeInfo()})
    assert types.all() == {"a": of(b'{"type":"string"}'), "b": JobTypeInfo()}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"1",
        b"[]",
        b'"{}"',
        b"{",
        b"{} {}",
        b'{"a":\xff}',
        b'{"a":"\xff"}',
        b'{"a":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"maximum":' + b"9" * 5_000 + b"}",
    ],
)
def test_schema_when_it_is_no_json_that_others_can_read_then_refused_and_nothing_is_changed(
    text: bytes,
) -> None:
    types = KnownTypes()
    types.announce({"a": of(b"{}")})
    with pytest.raises(BrokerProtocolError, match=re.escape("the schema of 'bad' cannot be kept")):
        types.announce({"a": JobTypeInfo(), "bad": of(text)})
    assert types.all() == {"a": of(b"{}")}


def test_schema_when_it_is_too_large_then_refused() -> None:
    types = KnownTypes()
    types.announce({"a": padded(TYPE_SCHEMA_BYTES_MAX)})
    with pytest.raises(BrokerProtocolError, match="larger than 65536 bytes"):
        types.announce({"a": padded(TYPE_SCHEMA_BYTES_MAX + 1)})


def test_schemas_when_one_request_has_too_many_bytes_then_refused() -> None:
    types = KnownTypes()
    fit = TYPES_BYTES_MAX // TYPE_SCHEMA_BYTES_MAX
    announced = {f"t{at}": padded(TYPE_SCHEMA_BYTES_MAX) for at in range(fit)}
    types.announce(announced)
    with pytest.raises(BrokerProtocolError, match="announce them in several"):
        types.announce(announced | {"one more": of(b"{}")})
    assert len(types.all()) == fit


def test_types_when_there_are_too_many_then_the_first_announced_make_room() -> None:
    types = KnownTypes(most=2)
    types.announce({"a": of(b"{}"), "b": of(b"{}")})
    types.announce({"a": of(b"{}")})
    types.announce({"c": of(b"{}")})
    assert list(types.all()) == ["a", "c"]


def test_types_when_their_bytes_are_too_many_then_the_first_announced_make_room() -> None:
    types = KnownTypes(bytes_max=100)
    for name in "abcd":
        types.announce({name: padded(40)})
    assert list(types.all()) == ["c", "d"]
    types.announce({"d": of(b"{}"), "e": padded(58)})
    assert list(types.all()) == ["c", "d", "e"]
