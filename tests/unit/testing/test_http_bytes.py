"""The proxy passes requests and answers as they came, whatever their framing."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.testing.conftest import Bucket, Start, exchange, verbatim

from osqueue.testing import FaultProxy, HttpFault, HttpScript, HttpStep

PUT = (
    b"PUT /b//k%2Fe%20y?x-id=PutObject&b=%7E HTTP/1.1\r\n"
    b"Host: bucket.example:9000\r\nauthorization: AWS4-HMAC-SHA256 Credential=a/b\r\n"
    b"X-Amz-Meta-B:  two  spaces\r\nx-amz-meta-a: \xe4\r\nAccept-Encoding: identity\r\n"
)
LENGTH = PUT + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = (
    PUT + b"Transfer-Encoding: chunked\r\n\r\n3;sig=1\r\nhel\r\n2\r\nlo\r\n0\r\nx-sum: 1\r\n\r\n"
)
OK = b"HTTP/1.1 200 OK\r\nServer: own\r\nx-Odd: 1\r\ncontent-length: 0\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("request_bytes", [LENGTH, CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize("fault", [HttpFault.NONE, HttpFault.LOST_REPLY, HttpFault.LATE_WRITE])
async def test_request_then_the_upstream_gets_the_same_bytes(
    request_bytes: bytes, fault: HttpFault
) -> None:
    async with verbatim(OK, until=lambda data: data.endswith(request_bytes[-5:])) as upstream:
        script = HttpScript([HttpStep(fault=fault, delay_s=0.0)])
        async with FaultProxy(upstream.url, script) as proxy:
            answer = await exchange(proxy, request_bytes)
            await proxy.settled()
    assert upstream.requests == [request_bytes]
    assert answer == (OK if fault is HttpFault.NONE else b"")


GET_ANSWERS = [
    OK,
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\0",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.0 200\r\n\r\nof an older kind",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK,
]


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        *[(b"GET", answer) for answer in GET_ANSWERS],
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n"),
        (b"DELETE", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ],
)
async def test_answer_then_the_client_gets_the_same_bytes(method: bytes, answer: bytes) -> None:
    async with verbatim(answer) as upstream, FaultProxy(upstream.url) as proxy:
        request = method + b" /k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        assert await exchange(proxy, request) == answer


@pytest.mark.parametrize(
    ("answer", "cut"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabcd", b"ab"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", b"4\r\na"),
    ],
)
async def test_truncated_answer_then_the_head_whole_and_the_body_cut(
    answer: bytes, cut: bytes
) -> None:
    script = HttpScript([HttpStep(fault=HttpFault.TRUNCATED)])
    async with verbatim(answer) as upstream, FaultProxy(upstream.url, script) as proxy:
        got = await exchange(proxy, b"GET /k HTTP/1.1\r\nHost: h\r\n\r\n")
    assert got == answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + cut


async def test_truncated_answer_that_ends_with_the_connection_then_reset_not_ended() -> None:
    script = HttpScript([HttpStep(fault=HttpFault.TRUNCATED)])
    answer = b"HTTP/1.1 200 OK\r\n\r\nabcd"
    async with verbatim(answer) as upstream, FaultProxy(upstream.url, script) as proxy:
        with pytest.raises(ConnectionResetError):
            await exchange(proxy, b"GET /k HTTP/1.1\r\nHost: h\r\n\r\n")


EXPECTING = PUT + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize("fault", list(HttpFault))
async def test_request_that_waits_for_a_word_then_gets_it_before_its_body(fault: HttpFault) -> None:
    step = HttpStep(fault=fault, delay_s=0.01, hang_up=True)
    async with (
        verbatim(OK, until=lambda data: data.endswith(b"hello")) as upstream,
        FaultProxy(upstream.url, HttpScript([step])) as proxy,
    ):
        port = int(proxy.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(EXPECTING)
        if fault is HttpFault.RESET:
            with pytest.raises(ConnectionResetError):
                await reader.read()
        else:
            async with asyncio.timeout(20):
                assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"hello")
            await writer.drain()
        if fault is HttpFault.NONE:
            assert await reader.read() == OK
        writer.transport.abort()


async def test_request_refused_before_its_body_then_the_connection_ends_after_the_answer() -> None:
    refusal = b"HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n"
    request = PUT + b"expect: 100-continue \r\ncontent-length: 5\r\n\r\n"
    async with (
        verbatim(refusal, until=lambda _: True) as upstream,
        FaultProxy(upstream.url) as proxy,
    ):
        # the test's upstream says 100 to lower case only
        got = await exchange(proxy, request.replace(b"100-c", b"100-C"))
    assert got == refusal


async def test_connection_then_carries_many_requests_one_after_another(start: Start) -> None:
    proxy = await start(HttpStep(), HttpStep(fault=HttpFault.REFUSED, status=429))
    request = b"PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n"
    last = b"GET /k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    got = await exchange(proxy, request + b"1" + request + b"2" + request + b"3", last)
    assert [line.split()[1] for line in got.splitlines() if line.startswith(b"HTTP/1.1")] == [
        b"200", b"429", b"200", b"200",
    ]  # fmt: skip
    assert got.endswith(b"\r\n\r\n3")


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_body_of_thirty_megabytes_then_passed_both_ways(
    framing: str, bucket: Bucket, start: Start
) -> None:
    body = bytes(range(256)) * (30 * 4096)
    head = b"PUT /k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
    if framing == "length":
        pieces = [head + b"Content-Length: %d\r\n\r\n" % len(body), body]
    else:
        pieces = [head + b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n" % len(body), body]
        pieces.append(b"\r\n0\r\n\r\n")
    proxy = await start()
    assert b" 200 " in await exchange(proxy, *pieces)
    assert bucket.objects["/k"] == body
    got = await exchange(proxy, b"GET /k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert got.partition(b"\r\n\r\n")[2] == body


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/2\r\n\r\n",
        b"GET / HTTP/1.1\r\nhalf a head",
        PUT + b"Content-Length: -1\r\n\r\n",
        PUT + b"Content-Length: 5\r\n\r\nhal",
        PUT + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        PUT + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        PUT + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
        PUT + b"Transfer-Encoding: chunked\r\n\r\n5",
        b"GET / HTTP/1.1\r\nx: " + b"x" * 300_000,
    ],
)
async def test_request_whose_end_is_not_clear_then_reset_and_never_applied(
    request_bytes: bytes, bucket: Bucket, start: Start
) -> None:
    proxy = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
    writer.write(request_bytes)
    writer.write_eof()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.transport.abort()
    assert proxy.log[0].error
    assert bucket.objects == {}


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nhalf"]
)
async def test_answer_that_is_no_http_then_the_client_is_reset(answer: bytes) -> None:
    async with verbatim(answer) as upstream, FaultProxy(upstream.url) as proxy:
        with pytest.raises(ConnectionResetError):
            await exchange(proxy, b"GET /k HTTP/1.1\r\nHost: h\r\n\r\n")
        assert proxy.log[0].error
