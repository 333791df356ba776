"""Payloads at the edge: refused, or kept to the byte in a state that opens again.

They travel as they do in a request: `msgspec` cuts them out as `Raw`, then `payload_fault` judges.
To open means: here, and in plain `json`.
"""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from osqueue.config import PAYLOAD_DEPTH_MAX, PAYLOAD_DIGITS_MAX, QueueLimits
from osqueue.model.apply import apply
from osqueue.model.job import Moment, payload_of
from osqueue.model.ops import Claim, NewJob, Submit
from osqueue.model.outcomes import Claimed, Submitted
from osqueue.model.payload import payload_fault
from osqueue.model.snapshot import decode_state, encode_state
from osqueue.model.state import QueueState
from osqueue.wire.messages import SubmitRequest

NOW = Moment(1_800_000_000_000, 1_000)
LIMITS = QueueLimits()


def accepted(text: bytes) -> Raw | None:
    """What is stored of a payload, or ``None`` when it is refused."""
    try:
        request = msgspec.json.decode(b'{"payload":' + text + b"}", type=SubmitRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if request.payload is UNSET or payload_fault(request.payload) is not None:
        return None
    return request.payload


def keep(payload: Raw) -> None:
    """Store a payload, and see that its bytes come back whatever happens to the state."""
    state = QueueState(LIMITS)
    jobs = (NewJob("before", "", Raw(b"1")), NewJob("a", "t", payload), NewJob("after"))
    assert apply(state, Submit(jobs), NOW) == Submitted(3)
    first = encode_state(state)
    claimed = apply(state, Claim("w", "seed", ("t",)), NOW)
    assert isinstance(claimed, Claimed)
    assert claimed.grants[0].payload == payload
    for data in (first, encode_state(state)):
        assert b'"payload":' + bytes(payload) + b"," in data
        json.loads(data)
        again = decode_state(data, limits=LIMITS, now=NOW)
        assert payload_of(again.jobs["a"]) == payload
        assert encode_state(again) == data


def refused_or_kept(text: bytes) -> None:
    payload = accepted(text)
    if payload is not None:
        keep(payload)


def nested(depth: int, *, opener: bytes = b"[", inner: bytes = b"1") -> bytes:
    closer = b"]" if opener == b"[" else b"}"
    return opener * depth + inner + closer * depth


digits = st.sampled_from([1, 5, 400, PAYLOAD_DIGITS_MAX, PAYLOAD_DIGITS_MAX + 1, 5_000])
numbers = st.one_of(
    st.builds(lambda count, sign: sign + b"7" * count, digits, st.sampled_from([b"", b"-"])),
    st.builds(lambda count: b"0." + b"3" * count, digits),
    st.builds(lambda count, e: b"1" + e + b"4" * count, digits, st.sampled_from([b"e", b"E-"])),
    st.builds(lambda count: b"9" * count + b".5E-3", digits),
    st.sampled_from([b"0", b"-0", b"01", b"1.", b".5", b"+1", b"1e999", b"-1E-999"]),
    st.sampled_from([b"NaN", b"Infinity", b"-Infinity", b"nan", b"0x10", b"1_000"]),
)
pieces = st.sampled_from(
    [
        b"a",
        b"[{",
        b"]}",
        b"[" * 300,
        b"8" * 5_000,
        b'\\"',
        b"\\\\",
        b"\\/\\b\\n",
        b"\\u0000",
        b"\\u12",
        b"\\x",
        b"\\ud83d\\ude00",
        b"\\ud800",
        b"\\udc00",
        b"\xed\xa0\x80",
        b"\xed\xb0\x80",
        b"\xc3\xa9",
        b"\xf0\x9f\x98\x80",
        b"\xff",
        b"\xc0\x80",
        b"\x7f",
        b"\x00",
        b"\n",
        b"\xe2\x80\xa8",
        b"__proto__",
    ]
)
strings = st.builds(lambda parts: b'"' + b"".join(parts) + b'"', st.lists(pieces, max_size=4))
keys = strings | st.sampled_from([b'"__proto__"', b'"a"', b'"a"', b'"constructor"'])
spaces = st.sampled_from([b"", b"", b" ", b"\n\t\r "])
literals = st.sampled_from([b"null", b"true", b"false", b"tru", b"", b"None"])


def joined(opener: bytes, items: list[bytes], space: bytes) -> bytes:
    closer = {b"[": b"]", b"{": b"}"}[opener]
    return opener + space + (b"," + space).join(items) + space + closer


def containers(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    members = st.tuples(keys, inner).map(lambda member: member[0] + b":" + member[1])
    deep = st.builds(nested, st.sampled_from([2, 198, 199, 200, 990, 1_100]), inner=inner)
    lists = st.builds(joined, st.just(b"["), st.lists(inner, max_size=3), spaces)
    return lists | st.builds(joined, st.just(b"{"), st.lists(members, max_size=3), spaces) | deep


payload_texts = st.recursive(numbers | strings | literals, containers, max_leaves=8)
scraps = st.lists(
    pieces | numbers | st.sampled_from([b"[", b"]", b"{", b"}", b'"', b":", b",", b"\\", b" "]),
    max_size=8,
).map(b"".join)
plain_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(payload_texts)
def test_payload_when_built_of_odd_parts_then_refused_or_kept(text: bytes) -> None:
    refused_or_kept(text)


@given(st.binary() | scraps)
def test_payload_when_it_is_any_bytes_then_refused_or_kept(text: bytes) -> None:
    refused_or_kept(text)


@given(value=plain_json, ascii_only=st.booleans(), indent=st.none() | st.integers(0, 3))
def test_payload_when_it_is_plain_json_then_kept(
    value: object, *, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    payload = accepted(text)
    assert payload == Raw(text)
    keep(Raw(text))


@given(st.integers(1, 1_100), st.sampled_from([b"[", b'{"a":', b'{"[":']), strings)
def test_payload_when_nested_then_kept_up_to_the_limit_and_refused_beyond(
    depth: int, opener: bytes, inner: bytes
) -> None:
    refused_or_kept(nested(depth, opener=opener, inner=inner))
    assert (accepted(nested(depth, opener=opener)) is not None) is (depth <= PAYLOAD_DEPTH_MAX)


@pytest.mark.parametrize(
    "text",
    [
        nested(1_000),
        nested(100_000),
        b"[" * 100_000,
        b'"\xff"',
        b'{"\xff":1}',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b"1" * 5_000,
        b"-" + b"1" * 5_000,
        b"0." + b"1" * 5_000,
        b"1e" + b"1" * 5_000,
        b"[1," + b"1" * 5_000 + b"]",
        b"NaN",
        b"[Infinity]",
        b"",
        b"{",
        b'"\n"',
    ],
)
def test_payload_when_it_could_not_be_read_again_then_refused(text: bytes) -> None:
    assert accepted(text) is None


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}',
        b'{"__proto__":{"x":1},"constructor":{"prototype":null}}',
        b'"' + b"[" * 5_000 + b'\\"' + b"1" * 5_000 + b'"',
        b'{"\\"[[":"\\\\","]]":[]}',
        b"1" * PAYLOAD_DIGITS_MAX,
        b"-0.10e+05",
        b"1e999",
        b'"\\ud83d\\ude00 \xf0\x9f\x98\x80 \xe2\x80\xa8 \x7f"',
        b"{ \n}",
        nested(PAYLOAD_DEPTH_MAX, opener=b'{"k":'),
    ],
)
def test_payload_when_it_can_be_read_again_then_kept(text: bytes) -> None:
    payload = accepted(text)
    assert payload == Raw(text)
    keep(Raw(text))
