"""HTTP itself: what is unusual and served, what is no HTTP, and what never ends."""

from __future__ import annotations

import pytest
from tests.integration.conftest import Dial
from tests.integration.rest import Rest, request

from osqueue.app import BrokerServer

POST = b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


async def test_request_when_it_waits_to_be_told_to_go_on_then_it_is(
    broker: BrokerServer, dial: Dial
) -> None:
    wire = await dial(broker)
    body = b'{"jobId":"polite"}'
    whole = request("/v1/jobs", body, "expect: 100-continue")
    await wire.send(whole[: -len(body)])
    assert (await wire.answer()).status == 100
    await wire.send(body)
    assert (await wire.answer()).body == body


async def test_request_when_it_offers_an_upgrade_then_it_is_served_without(
    broker: BrokerServer, dial: Dial
) -> None:
    wire = await dial(broker)
    offers = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk")
    for job_id in (b"first", b"second"):
        await wire.send(request("/v1/jobs", b'{"jobId":"%b"}' % job_id, *offers))
        assert (await wire.answer()).body == b'{"jobId":"%b"}' % job_id


async def test_request_when_of_http_1_0_then_it_is_served_and_the_connection_ends(
    broker: BrokerServer, dial: Dial
) -> None:
    wire = await dial(broker)
    await wire.send(request("/healthz", method="GET", version="1.0"))
    assert (await wire.answer()).body == b'{"status":"ok"}'
    assert await wire.ended() == b""


async def test_chunks_when_they_carry_little_then_the_body_is_taken(
    broker: BrokerServer, dial: Dial
) -> None:
    wire = await dial(broker)
    await wire.send(request("/v1/jobs", b"", "transfer-encoding: chunked"))
    body = b'{"payload":"' + b"x" * 20_000 + b'","jobId":"crumbs"}'
    await wire.send(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
    assert (await wire.answer()).body == b'{"jobId":"crumbs"}'


async def test_head_when_just_large_then_it_is_served(broker: BrokerServer, dial: Dial) -> None:
    wire = await dial(broker)
    filler = [f"x-{n}: {'y' * 1000}" for n in range(60)]
    await wire.send(request("/healthz", b"", *filler, method="GET"))
    assert (await wire.answer()).status == 200


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /" + b"x" * 2**20,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 2**17,
        b"GET / HTTP/1.1\r\nhost: x\r\nx-filler: " + b"x" * 2**20,
        POST + CHUNKED + b"2\r\n{}\r\n0\r\n" + b"trailer: x\r\n" * 2**17,
        POST + CHUNKED + b"2;" + b"x" * 2**20,
    ],
    ids=["line", "headers", "header", "trailers", "chunk extension"],
)
async def test_head_when_it_never_ends_then_the_connection_does(
    broker: BrokerServer, rest: Rest, dial: Dial, endless: bytes
) -> None:
    wire = await dial(broker)
    wire.writer.write(endless)
    answer = await wire.answer()
    assert answer.status in {400, 431}
    assert answer.tag == "BrokerProtocolError"
    assert (await rest.get("/v1/stats")).json["total"] == 0


async def test_head_when_too_large_then_431_says_how_large_it_may_be(
    broker: BrokerServer, dial: Dial
) -> None:
    wire = await dial(broker)
    wire.writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nx-filler: " + b"x" * 2**20)
    answer = await wire.answer()
    assert (answer.status, answer.tag) == (431, "BrokerProtocolError")
    assert "65536" in answer.message
    assert answer.headers["vary"] == "Origin"
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"BREW /pot HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nbad header\r\n\r\n",
        b"\x00\x01\x02",
        POST + b"content-length: -1\r\n\r\n",
        POST + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        POST + b"content-length: 2\r\n" + CHUNKED,
        POST + CHUNKED + b"ZZ\r\n",
    ],
    ids=["tls", "http2", "verb", "header", "binary", "length", "lengths", "smuggling", "chunk"],
)
async def test_bytes_when_they_are_no_http_then_400_and_the_end(
    broker: BrokerServer, rest: Rest, dial: Dial, garbage: bytes
) -> None:
    wire = await dial(broker)
    await wire.send(garbage)
    answer = await wire.answer()
    assert (answer.status, answer.tag) == (400, "BrokerProtocolError")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["connection"] == "close"
    assert await wire.ended() == b""
    assert (await rest.get("/v1/stats")).json["total"] == 0


@pytest.mark.parametrize("target", ["http://[::1/v1/ws", "http://broker"])
async def test_websocket_when_its_place_is_none_then_refused(
    broker: BrokerServer, dial: Dial, target: str
) -> None:
    wire = await dial(broker)
    await wire.send(request(target, b"", "connection: upgrade", "upgrade: websocket", method="GET"))
    assert (await wire.answer()).status == 400
    assert await wire.ended() == b""
