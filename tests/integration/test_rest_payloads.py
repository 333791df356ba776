"""Whatever is accepted comes back exactly, and leaves a state that opens again everywhere."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw
from tests.integration.conftest import Shared
from tests.integration.rest import Answer, Rest, json_bytes

from osqueue.config import QueueLimits
from osqueue.model.job import Moment
from osqueue.model.snapshot import decode_state

pytestmark = pytest.mark.asyncio(loop_scope="module")

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)

odd_texts = st.sampled_from(
    [b"NaN", b"-Infinity", b"1e999", b"-0.0", b"01", b"1.", b'"\\ud800"', b'"\\udc00\\ud800"',
     b'"\\ud83d\\ude00"', b'"\xff"', b'"\xed\xa0\x80"', b'"\x00"', b'"\\u0000"', b'"\\q"',
     b'{"a":1,"a":2}', b'{"__proto__":{}}', b"[" * 199 + b"]" * 199, b"[" * 999 + b"]" * 999,
     b"9" * 4300, b"9" * 4301, b"1" * 5000 + b".5", b"", b" ", b"\xef\xbb\xbf1", b"/*x*/1",
     b'1,"type":"t"', b'1,"payload":2', b'1}{"payload":2', b"[1]]", b'{"a":[}]']
)  # fmt: skip


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """JSON, in some spelling."""
    value = draw(values)
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]))
    text = json.dumps(value, ensure_ascii=draw(st.booleans()), separators=separators)
    return text.encode("utf-8", "surrogatepass")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """JSON with a few bytes changed."""
    text = bytearray(draw(texts()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        text[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(text)


payloads = texts() | damaged() | odd_texts
bodies = st.one_of(
    payloads.map(lambda text: b'{"payload":%b}' % text),
    payloads.map(lambda text: b'{"payload": %b ,"type":"t","maxAttempts":2}' % text),
    payloads,
    st.binary(max_size=40),
)


def refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def strictly(text: bytes) -> Any:
    """What another reader makes of JSON, down to the spelling of numbers and the order of keys."""
    return json.loads(
        text.decode(),
        parse_constant=refuse,
        parse_float=lambda number: ("number", number),
        parse_int=lambda number: ("number", number),
        object_pairs_hook=lambda pairs: ("object", pairs),
    )


def field(text: bytes, name: str) -> object:
    """The last value of a field, as readers agree on for repeated ones."""
    kind, pairs = strictly(text)
    assert kind == "object"
    return [value for key, value in pairs if key == name][-1:]


async def opens(rest: Rest) -> None:
    state = (await rest.get("/state?consistent=true")).body
    json.loads(state)
    decode_state(state, limits=QueueLimits(), now=Moment(0, 0))


async def kept_or_refused(rest: Rest, path: str, body: bytes) -> Answer | None:
    """The claim of what was accepted; nothing when it was refused as it should be."""
    answer = await rest.send("POST", path, body)
    claim = await rest.post("/v1/jobs/claim", {"workerId": "w"})
    if answer.status != 200:
        assert answer.status == 400, answer
        assert answer.tag == "BrokerProtocolError"
        assert claim.body == b"{}"
        return None
    await opens(rest)
    assert claim.json["jobId"] in str(answer.json)
    complete = f"/v1/jobs/{claim.json['jobId']}/complete"
    assert (await rest.post(complete, {"workerId": "w"})).status == 204
    return claim


@settings(max_examples=200)
@given(body=bodies)
@example(body=b'{"payload":1,"payload":[2]}')
@example(body=b'{"payload":1.0,"maxAttempts":3.0}')
async def test_submit_when_any_bytes_are_sent_then_kept_exactly_or_refused(
    shared: Shared, body: bytes
) -> None:
    claim = await kept_or_refused(shared.rest, "/v1/jobs", body)
    if claim is not None:
        assert field(claim.body, "payload") == field(body, "payload")


@settings(max_examples=50)
@given(text=payloads)
async def test_batch_when_any_payload_is_sent_then_kept_exactly_or_refused(
    shared: Shared, text: bytes
) -> None:
    body = b'{"jobs":[{"payload":%b}]}' % text
    claim = await kept_or_refused(shared.rest, "/v1/jobs/batch", body)
    if claim is not None:
        _, ((_, (inner,)),) = strictly(body)
        assert field(claim.body, "payload") == [v for k, v in inner[1] if k == "payload"][-1:]


@settings(max_examples=100)
@given(text=texts())
async def test_submit_when_the_payload_is_sound_then_its_bytes_come_back(
    shared: Shared, text: bytes
) -> None:
    claim = await kept_or_refused(shared.rest, "/v1/jobs", b'{"payload":%b}' % text)
    if claim is None:
        with pytest.raises(UnicodeDecodeError):
            text.decode()
    else:
        assert bytes(msgspec.json.decode(claim.body, type=dict[str, Raw])["payload"]) == text


@settings(max_examples=60)
@given(error=payloads)
async def test_fail_when_any_error_is_sent_then_the_state_opens_again(
    shared: Shared, error: bytes
) -> None:
    rest = shared.rest
    job_id = await rest.submit(maxAttempts=1)
    await rest.claim("w")
    for text in (error, b'{"type":"E","message":%b}' % error):
        body = b'{"workerId":"w","error":%b}' % text
        answer = await rest.send("POST", f"/v1/jobs/{job_id}/fail", body)
        assert answer.status in {204, 400, 409}, answer
        await opens(rest)
        assert (await rest.get(f"/v1/jobs/{job_id}")).status == 200
    await rest.send("DELETE", f"/v1/jobs/{job_id}")


@settings(max_examples=60)
@given(name=st.text(max_size=260), payload=values)
async def test_submit_when_type_and_id_are_any_text_then_kept_exactly_or_refused(
    shared: Shared, name: str, payload: object
) -> None:
    message = {"type": name, "payload": payload}
    claim = await kept_or_refused(shared.rest, "/v1/jobs", json_bytes(message))
    assert (claim is None) == (len(name) > 256)
    assert claim is None or claim.json.get("type", "") == name
