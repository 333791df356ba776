from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import Raw

from osqueue.client.payloads import decode_payload, encode_payload
from osqueue.errors import PayloadValidationError


@dataclass
class Mail:
    to: str
    weight: float


def _cyclic() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    ("payload", "encoded"),
    [
        ({"to": "ada@example.org"}, b'{"to":"ada@example.org"}'),
        (None, b"null"),
        ([1, 2.5, True, "ü"], '[1,2.5,true,"ü"]'.encode()),
        (2**70, str(2**70).encode()),
        (Mail("ada", 1.5), b'{"to":"ada","weight":1.5}'),
        (datetime(2026, 1, 2, tzinfo=UTC), b'"2026-01-02T00:00:00Z"'),
        (Raw(b'{"as": "given"}'), b'{"as": "given"}'),
        ({"nothing": None, "number": 1.0}, b'{"nothing":null,"number":1.0}'),
    ],
)
def test_encode_payload_of_a_json_value_gives_its_json(payload: object, encoded: bytes) -> None:
    assert bytes(encode_payload(payload)) == encoded


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(object(), id="object"),
        {(1, 2): 3},
        "\ud800",
        math.nan,
        {"deep": [1, {"er": -math.inf}]},
        Mail("ada", math.inf),
        _cyclic(),
    ],
    ids=repr,
)
def test_encode_payload_of_what_json_cannot_hold_is_refused_with_the_reason(
    payload: object,
) -> None:
    with pytest.raises(PayloadValidationError, match=r"cannot be kept as JSON: \S"):
        encode_payload(payload)


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        (b'{"a":[1,null]}', {"a": [1, None]}),
        (b"1e999", math.inf),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b'"\\ud800"', "\ud800"),
    ],
)
def test_decode_payload_of_any_json_gives_its_value(encoded: bytes, value: object) -> None:
    assert decode_payload(encoded) == value


@pytest.mark.parametrize("encoded", [b"", b"{", b'"\xff"', b"[" * 100_000])
def test_decode_payload_of_other_bytes_is_refused(encoded: bytes) -> None:
    with pytest.raises(PayloadValidationError, match="not JSON"):
        decode_payload(encoded)
