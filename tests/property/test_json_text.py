"""Large texts are judged piece by piece, and exactly as small ones are."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw
from tests.property.test_payloads import payload_texts, plain_json, scraps

from osqueue.config import PAYLOAD_DEPTH_MAX, PAYLOAD_DIGITS_MAX
from osqueue.model.jsontext import json_fault
from osqueue.model.payload import payload_fault

_decode = msgspec.json.Decoder(Raw).decode
sizes = st.integers(1, 40) | st.sampled_from([100, 4_096, 2**16])


def small_path_takes(text: bytes) -> bool:
    """What becomes of a text that is checked in one go."""
    try:
        payload = _decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return payload_fault(payload) is None


def judged_alike(text: bytes, size: int) -> None:
    assert (json_fault(text, piece_bytes=size) is None) is small_path_takes(text)


@given(payload_texts, sizes)
def test_text_when_built_of_odd_parts_then_judged_as_in_one_go(text: bytes, size: int) -> None:
    judged_alike(text, size)


@given(st.binary() | scraps, sizes)
def test_text_when_it_is_any_bytes_then_judged_as_in_one_go(text: bytes, size: int) -> None:
    judged_alike(text, size)


@given(st.text(alphabet='[]{}",:\\u12deE-. \n\té😀', max_size=30), sizes)
def test_text_when_it_is_a_jumble_of_what_json_is_made_of_then_judged_as_in_one_go(
    text: str, size: int
) -> None:
    judged_alike(text.encode(), size)


@given(plain_json, st.booleans(), st.none() | st.integers(0, 3), sizes)
def test_text_when_plain_json_then_accepted(
    value: object, ascii_only: bool, indent: int | None, size: int
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert json_fault(text, piece_bytes=size) is None


@given(plain_json, st.booleans(), st.data(), sizes)
@example([{"a": "\\😀"}], True, None, 3)
def test_text_when_plain_json_is_mutated_then_judged_as_in_one_go(
    value: object, ascii_only: bool, data: st.DataObject | None, size: int
) -> None:
    text = bytearray(json.dumps(value, ensure_ascii=ascii_only).encode())
    if data is not None:
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 3))
        text[at : at + cut] = data.draw(
            st.sampled_from(b'[]{}",:\\0 \xe9e').map(lambda b: bytes([b]))
        )
    judged_alike(bytes(text), size)


DEEP = b"[" * PAYLOAD_DEPTH_MAX
LONG = b"7" * PAYLOAD_DIGITS_MAX


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 5_000, 2**16])
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"  ",
        b" 1 ",
        b"1 2",
        b"1 .5",
        b'"a""b"',
        b'"a" 1',
        b"[1,]",
        b'{"a":1,}',
        b'{"a"}',
        b'{"a":}',
        b'{,"a":1}',
        b"[:1]",
        b'["a":1]',
        b'{"a":1:2}',
        b'{"a" "b"}',
        b"[1}",
        b"[]]",
        b"[[]",
        b"{]",
        b'[\\"a"]',
        b'["a\\',
        b'["' + b"\\\\" * 50 + b'"]',
        b'["' + b"\\\\" * 50 + b'\\"]',
        b'"' + b"\\ud83d\\ude00" * 40 + b'"',
        b'"' + b"\\ud83d" * 40 + b'"',
        b'"' + b"\\\\ud83d" * 40 + b'"',
        b'"' + "é€😀".encode() * 40 + b'"',
        b'"' + "é€😀".encode() * 40 + b'\x80"',
        b'"' + b"\x80" * 9 + b'"',
        b'{"' + b"k" * 300 + b'":"' + b"v" * 300 + b'","x":[' + b'"y",' * 90 + b'{"z":null}]}',
        b"[" + b"1 , " * 90 + b'true, {"a" : [ ] , "b" : { } } ]',
        b"[" + b" " * 70_000 + b"]",
        LONG,
        LONG + b"1",
        b"[0." + LONG + b"e" + LONG + b"]",
        b'["' + LONG + b'1"]',
        b"1" * 100_000,
        DEEP + DEEP.replace(b"[", b"]"),
        b"[" + DEEP + DEEP.replace(b"[", b"]") + b"]",
        b"[[],[[]],[[[]]],[[[[]]]]]",
        DEEP[3:] + b"[[[]],[[]]]" + DEEP[3:].replace(b"[", b"]"),
        DEEP[3:] + b"[[[]],[[[]]]]" + DEEP[3:].replace(b"[", b"]"),
        DEEP[2:] + b'[{"a":[]}]' + DEEP[2:].replace(b"[", b"]"),
        DEEP[3:] + b'[{"a":[]}]' + DEEP[3:].replace(b"[", b"]"),
    ],
)
def test_text_when_a_cut_falls_anywhere_then_judged_as_in_one_go(text: bytes, size: int) -> None:
    judged_alike(text, size)
