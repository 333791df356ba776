from __future__ import annotations

import pytest
from msgspec import UNSET, Raw

from osqueue.config import PAYLOAD_DEPTH_MAX, PAYLOAD_DIGITS_MAX
from osqueue.model.payload import payload_fault

DIGITS = b"1" * PAYLOAD_DIGITS_MAX
LISTS = b"[" * PAYLOAD_DEPTH_MAX + b"]" * PAYLOAD_DEPTH_MAX
SHALLOWER = LISTS[1:-1]
OBJECTS = b'{"a":' * PAYLOAD_DEPTH_MAX + b"0" + b"}" * PAYLOAD_DEPTH_MAX


@pytest.mark.parametrize(
    "payload",
    [
        b"null",
        b'{"a": [1, 2.5, "x"]}',
        b'"\xc3\xa9 \xf0\x9f\x98\x80 \\ud83d\\ude00"',
        DIGITS,
        b"-" + DIGITS,
        b"0." + DIGITS,
        b'"' + b"1" * 20_000 + b'"',
        b'{"\\"": "\\\\", "n": "' + b"9" * 5_000 + b'"}',
        b'["' + b"9" * 5_000 + b'", "\\"' + b"8" * 5_000 + b'"]',
        LISTS,
        OBJECTS,
        b"[" + b"[]," * 10_000 + b"[]]",
        b"[[]," + SHALLOWER + b"]",
        b"[" + b"[]," * 300 + SHALLOWER + b',{},"]"]',
        b'"' + b"[" * 5_000 + b'"',
        b'["\\"' + b"[{" * 5_000 + b'\\\\", "' + b"]" * 99 + b'"]',
        b'{"a":1,"a":2,"__proto__":{"constructor":{"prototype":1}}}',
    ],
)
def test_payload_when_it_can_be_kept_then_no_fault(payload: bytes) -> None:
    assert payload_fault(Raw(payload)) is None


def test_payload_when_there_is_none_then_no_fault() -> None:
    assert payload_fault(UNSET) is None


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b'"\xff"', "UTF-8"),
        (b'{"\xc3":1}', "UTF-8"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (b'"\xc0\x80"', "UTF-8"),
        (b'"\xf4\x90\x80\x80"', "UTF-8"),
        (b"[" + LISTS + b"]", "deeper than 200"),
        (b'{"a":' + OBJECTS + b"}", "deeper than 200"),
        (b'["' + b"]" * 500 + b'",' + LISTS + b"]", "deeper than 200"),
        (b'["\\"",' + LISTS + b',"\\""]', "deeper than 200"),
        (b"[" * 900 + b"]" * 900, "deeper than 200"),
        (b"[[]," + LISTS + b"]", "deeper than 200"),
        (LISTS[:198] + b'[{"a":[]}]' + LISTS[-198:], "deeper than 200"),
        (b"[" + b"[],{}," * 300 + LISTS + b"]", "deeper than 200"),
        (DIGITS + b"1", "4300 digits"),
        (b"-1" + DIGITS, "4300 digits"),
        (b'{"n":[1,' + b"7" * 5_000 + b"]}", "4300 digits"),
        (b'["' + b"1" * 5_000 + b'",' + b"1" * 5_000 + b"]", "4300 digits"),
        (b"0.1" + DIGITS, "4300 digits"),
        (b"1e1" + DIGITS, "4300 digits"),
    ],
)
def test_payload_when_it_would_not_open_again_then_the_fault_is_named(
    payload: bytes, fault: str
) -> None:
    found = payload_fault(Raw(payload))
    assert found is not None
    assert fault in found


def test_payload_when_it_is_huge_and_full_of_quotes_then_it_is_still_judged() -> None:
    assert payload_fault(Raw(b"[" + b'"\\"[",' * 100_000 + b"0]")) is None
    assert payload_fault(Raw(b"[" + b'"\\"[",' * 100_000 + b"1" * 5_000 + b"]")) is not None
