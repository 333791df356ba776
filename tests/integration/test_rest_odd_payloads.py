"""Payloads at the edge of what JSON allows: kept exactly, or refused where no reader opens them."""

from __future__ import annotations

import json

import pytest
from tests.integration.conftest import Shared
from tests.integration.rest import Rest, check

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKER = {"workerId": "w"}

KEPT = {
    "__proto__": b'{"__proto__":{"a":1},"constructor":{"prototype":null}}',
    "duplicate keys": b'{"a":1,"a":2,"a":3}',
    "200 levels": b"[" * 200 + b"]" * 200,
    "4300 digits": b"9" * 4300,
    "negative zero": b"-0",
    "beyond doubles": b"[1e400,-1e-400,123456789012345678901234567890]",
    "escapes": b'"\\u0000\\u2028\\/\\ud83d\\ude00"',
    "unicode": '"\u2028\u0000é😀￿"'.replace("\u0000", "").encode(),
    "delete": b'"\x7f"',
    "spaces": b"{ \n\t\r}",
    "big key": b'{"' + b"k" * 100_000 + b'":1}',
    "many keys": b"{" + b",".join(b'"%d":%d' % (n, n) for n in range(10_000)) + b"}",
    "brackets in strings": b'"' + b"[" * 1000 + b'"',
    "digits in strings": b'"' + b"1" * 5000 + b'"',
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT.keys())
async def test_payload_when_unusual_but_sound_then_it_is_kept_exactly(
    shared: Shared, text: bytes
) -> None:
    answer = await shared.rest.send("POST", "/v1/jobs", b'{"type":"odd","payload":%b}' % text)
    assert answer.status == 200, answer
    claim = await shared.rest.post("/v1/jobs/claim", {**WORKER, "types": ["odd"]})
    assert b'"payload":%b,"type":"odd"' % text in claim.body
    state = await shared.rest.get("/state?consistent=true")
    json.loads(state.body)
    assert (await shared.rest.delete(f"/v1/jobs/{claim.json['jobId']}")).status == 204


REFUSED = {
    "201 levels": b"[" * 201 + b"]" * 201,
    "1000 levels": b'{"a":' * 1000 + b"1" + b"}" * 1000,
    "100000 levels": b"[" * 100_000 + b"]" * 100_000,
    "5000 digits": b"9" * 5000,
    "5000 digits inside": b'{"a":[-' + b"1" * 5000 + b"]}",
    "latin-1": b'"\xe9"',
    "overlong": b'"\xc0\x80"',
    "encoded surrogate": b'"\xed\xa0\x80"',
    "beyond unicode": b'"\xf4\x90\x80\x80"',
    "latin-1 key": b'{"\xe9":1}',
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
async def test_payload_when_no_reader_could_open_it_then_400_names_it(
    held: Rest, text: bytes
) -> None:
    answer = await held.send("POST", "/v1/jobs", b'{"payload":%b}' % text)
    check(answer)
    assert "`payload`" in answer.message


@pytest.mark.parametrize(
    "text",
    [b"NaN", b"Infinity", b"-Infinity", b"01", b"1.", b".5", b"+1", b"0x10", b"1e", b"tru", b"'a'",
     b"undefined", b'"\t"', b'"\\x41"', b'"\\u12"', b'"\\ud800"', b"[1,]", b"{1:2}", b""],
)  # fmt: skip
async def test_payload_when_it_is_no_json_then_400(held: Rest, text: bytes) -> None:
    check(await held.send("POST", "/v1/jobs", b'{"payload":%b}' % text))


async def test_whole_numbers_when_written_with_a_point_then_they_are_taken(shared: Shared) -> None:
    body = b'{"type":"whole","payload":2.0,"maxAttempts":2.0,"priority":-1.0}'
    assert (await shared.rest.send("POST", "/v1/jobs", body)).status == 200
    claim = b'{"workerId":"w","types":["whole"],"max":1.0,"waitMs":0.0}'
    answer = await shared.rest.send("POST", "/v1/jobs/claim", claim)
    (job,) = answer.json["jobs"]
    assert (job["maxAttempts"], job["priority"]) == (2, -1)
    assert b'"payload":2.0,' in answer.body
    await shared.rest.delete(f"/v1/jobs/{job['jobId']}")
