"""Jobs of any bytes: what is kept comes back, byte for byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from osqueue.model.payload import payload_fault
from osqueue.server.rpc.any_bytes import as_payload, from_payload

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just({"$bytes": "aGk="}),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_bytes_when_kept_then_valid_json_that_gives_them_back(data: bytes) -> None:
    payload = Raw(as_payload(data))
    json.loads(bytes(payload))
    assert payload_fault(payload) is None
    assert from_payload(payload) == data


@pytest.mark.parametrize("data", [b"1", b'{"a":1}', b"[1,\n 2]", b'{"$bytes":1}', "ü".encode()])
def test_json_when_kept_then_as_it_is(data: bytes) -> None:
    text = data if data.isascii() else b'"' + data + b'"'
    assert as_payload(text) == text


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"", b'{"$bytes":""}'),
        (b"\xff\x00", b'{"$bytes":"/wA="}'),
        (b" 1", b'{"$bytes":"IDE="}'),
        (b"1\n", b'{"$bytes":"MQo="}'),
        (b"NaN", b'{"$bytes":"TmFO"}'),
        (b"[" * 1_000 + b"]" * 1_000, None),
        (b'{"$bytes":"aGk="}', b'{"$bytes":"eyIkYnl0ZXMiOiJhR2s9In0="}'),
    ],
)
def test_other_bytes_when_kept_then_in_base64(data: bytes, kept: bytes | None) -> None:
    payload = as_payload(data)
    assert payload.startswith(b'{"$bytes":"')
    assert kept in {None, payload}


@pytest.mark.parametrize("text", [b'{"$bytes":"aGk="}', b'{"$bytes": "aGk="}'])
def test_payload_of_another_client_when_of_that_shape_then_its_bytes(text: bytes) -> None:
    assert from_payload(Raw(text)) == b"hi"


def test_payload_when_there_is_none_then_no_bytes() -> None:
    assert from_payload(UNSET) == b""


@pytest.mark.parametrize("text", [b'{"$bytes":"?"}', b'{"$bytes":"aGk=","x":1}', b'"$bytes"'])
def test_payload_when_it_only_looks_like_that_then_as_it_is(text: bytes) -> None:
    assert from_payload(Raw(text)) == text
