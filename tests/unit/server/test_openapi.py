"""The OpenAPI document's parameters, which are the fields of the operations' queries."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from osqueue.server.openapi import openapi_document
from osqueue.wire.operations import OPERATIONS, Operation, ReadQuery

PATHS: dict[str, Any] = msgspec.json.decode(openapi_document())["paths"]


def asked_in_query(operation: Operation) -> list[str]:
    parameters = PATHS[operation.path][operation.verb.lower()]["parameters"]
    return [each["name"] for each in parameters if each["in"] == "query"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_parameters_when_read_then_each_field_of_a_query_stands_there_once(
    operation: Operation,
) -> None:
    names = asked_in_query(operation)
    assert len(names) == len(set(names))
    asked = operation.request is not None and not operation.takes_body
    assert bool(names) == (asked and operation.verb in {"GET", "PUT"})
    reads = operation.request is not None and issubclass(operation.request, ReadQuery)
    assert ("consistent" in names) == reads


def test_parameters_when_one_is_not_plain_by_its_name_then_it_is_explained() -> None:
    (consistent,) = PATHS["/v1/stats"]["get"]["parameters"]
    assert consistent["schema"] == {"type": "boolean", "default": False}
    assert "after the request" in consistent["description"]
