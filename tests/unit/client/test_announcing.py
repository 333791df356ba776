"""The requests that announce job types, and what a broker answers of them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET, Raw

from osqueue.client.announcing import announcements, schemas_of
from osqueue.config import TYPE_SCHEMA_BYTES_MAX, TYPES_KNOWN_MAX
from osqueue.errors import PayloadValidationError
from osqueue.wire.messages import JobTypeInfo, JobTypes

KIB = 1024


def of_size(size: int) -> dict[str, str]:
    """A schema of so many bytes of JSON."""
    return {"title": "x" * (size - 12)}


def test_types_when_they_are_few_then_one_request() -> None:
    (request,) = announcements({"a": {"type": "object"}, "b": None}, 512 * KIB)
    assert request.types["a"].schema == Raw(b'{"type":"object"}')
    assert request.types["b"].schema is UNSET


def test_types_when_there_are_none_then_no_request() -> None:
    assert [*announcements({}, 512 * KIB)] == []


def test_types_when_they_are_many_then_as_many_requests_as_it_takes() -> None:
    names = [f"t{at}" for at in range(TYPES_KNOWN_MAX + 1)]
    requests = [*announcements(dict.fromkeys(names), 512 * KIB)]
    assert [len(request.types) for request in requests] == [TYPES_KNOWN_MAX, 1]
    assert [name for request in requests for name in request.types] == names


@pytest.mark.parametrize(("bytes_max", "sizes"), [(80, [2, 1]), (10**9, [3]), (40, [1, 1, 1])])
def test_types_when_their_schemas_are_large_then_cut_at_the_bound(
    bytes_max: int, sizes: list[int]
) -> None:
    schemas = {name: of_size(40) for name in "abc"}
    assert [len(each.types) for each in announcements(schemas, bytes_max)] == sizes


def test_schema_when_no_broker_takes_it_then_left_out_but_not_its_type() -> None:
    schemas = {"fits": of_size(TYPE_SCHEMA_BYTES_MAX), "not": of_size(TYPE_SCHEMA_BYTES_MAX + 1)}
    (request,) = announcements(schemas, 512 * KIB)
    assert [info.schema is UNSET for info in request.types.values()] == [False, True]


@pytest.mark.parametrize("odd", [{"a": object()}, {"a": {1, 2j}}, {"a": "\ud800"}])
def test_schema_when_it_is_no_json_then_refused(odd: Any) -> None:
    with pytest.raises(PayloadValidationError, match="the schema of 'odd' is not JSON"):
        list(announcements({"odd": odd}, 512 * KIB))


def test_answer_when_read_then_the_schemas_by_type() -> None:
    answer = JobTypes({"a": JobTypeInfo(schema=Raw(b'{"type":"string"}')), "b": JobTypeInfo()})
    assert schemas_of(answer) == {"a": {"type": "string"}, "b": None}
