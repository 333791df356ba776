"""The Connect transport, against a scripted server over real sockets on loopback."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import pytest
from aiohttp import web

from osqueue.client.credentials import Credentials
from osqueue.client.transports import Answer, Position
from osqueue.client.transports.connect import ConnectTransport
from osqueue.client.transports.envelopes import enveloped, read
from osqueue.client.transports.http_pool import HttpPool
from osqueue.config import ClientSettings
from osqueue.errors import (
    BrokerLeadershipError,
    BrokerProtocolError,
    LeaseLostError,
    OverloadedError,
    TransportConnectionError,
    TransportRequestError,
)
from osqueue.wire.errors import error_info
from osqueue.wire.gen.osqueue.v1 import queue_pb as pb
from osqueue.wire.messages import ClaimRequest, SubmitAnswer, SubmitRequest, SubscribeRequest
from osqueue.wire.operations import CLAIM, GET_STATS, SUBMIT, SUBSCRIBE

ACCEPTED = pb.SubmitJobResponse(job_id="a").to_binary()
STATS = pb.GetStatsResponse(total=1, broker_address="b").to_binary()
UPDATE = pb.Update(commit="1-2").to_binary()
END = b"\x02\0\0\0\x02{}"
Say = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class LoopbackBroker:
    """Answers each request with ``answer``, and remembers it."""

    def __init__(self) -> None:
        self.answer: Say = says(STATS)
        self.requests: list[web.BaseRequest] = []
        self.bodies: list[bytes] = []
        self.url = ""
        self.gone = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        try:
            return await self.answer(request)
        except asyncio.CancelledError:
            self.gone.set()
            raise


def says(body: bytes, status: int = 200, **headers: str) -> Say:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers=named)

    return answer


def refuses(error: Exception, code: str = "unavailable", status: int = 503) -> Say:
    """An error as the protocol has it."""
    return says(json.dumps(_error(error, code)).encode(), status, content_type="application/json")


def _error(error: Exception, code: str) -> dict[str, object]:
    value = b64encode(error_info(error).to_binary()).decode().rstrip("=")  # type: ignore[arg-type]
    detail = {"type": "google.rpc.ErrorInfo", "value": value}
    return {"code": code, "message": str(error), "details": [{"type": "other"}, detail]}


def streams(*pieces: bytes) -> Say:
    """An answer that comes in pieces; then it hangs, or it has ended when the last is empty."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/connect+proto"})
        await response.prepare(request)
        for piece in pieces:
            if piece:
                await response.write(piece)
        if not pieces or pieces[-1]:
            await asyncio.get_running_loop().create_future()
        return response

    return answer


@pytest.fixture
async def broker() -> AsyncIterator[LoopbackBroker]:
    broker = LoopbackBroker()
    server = web.Server(broker.handle, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    broker.url = "http://{}:{}".format(*runner.addresses[0][:2])
    yield broker
    await runner.cleanup()


@pytest.fixture
async def connect(broker: LoopbackBroker) -> AsyncIterator[ConnectTransport]:
    transport = ConnectTransport(broker.url)
    yield transport
    await transport.close()


async def _call(transport: ConnectTransport, timeout_s: float = 5) -> Answer:
    return await transport.call(GET_STATS, timeout_s=timeout_s)


async def test_call_posts_its_message_and_reads_answer_and_commit(
    broker: LoopbackBroker, connect: ConnectTransport
) -> None:
    broker.answer = says(ACCEPTED, osqueue_commit="5-10")

    answer = await connect.call(SUBMIT, SubmitRequest(type="t", job_id="a"), timeout_s=2.5)

    assert answer == Answer(SubmitAnswer("a"), Position(5, 10))
    (request,) = broker.requests
    assert (request.method, request.path) == ("POST", "/osqueue.v1.QueueService/SubmitJob")
    said = {name: request.headers[name] for name in ("content-type", "accept-encoding")}
    assert said == {"content-type": "application/proto", "accept-encoding": "identity"}
    assert request.headers["connect-protocol-version"] == "1"
    assert request.headers["connect-timeout-ms"] == "2500"
    message = pb.SubmitJobRequest.from_binary(broker.bodies[0])
    assert (message.type, message.job_id) == ("t", "a")


async def test_claim_takes_its_time_to_travel_into_the_deadline(
    broker: LoopbackBroker, connect: ConnectTransport
) -> None:
    broker.answer = says(b"")
    await connect.call(CLAIM, ClaimRequest(worker_id="w"), timeout_s=1)
    assert broker.requests[0].headers["connect-timeout-ms"] == "65000"


async def test_token_is_shown_with_each_call(broker: LoopbackBroker) -> None:
    connect = ConnectTransport(broker.url, credentials=Credentials(token="s3cret"))
    await _call(connect)
    assert broker.requests[0].headers["authorization"] == "Bearer s3cret"
    await connect.close()


@pytest.mark.parametrize(
    "error",
    [
        LeaseLostError("another's"),
        OverloadedError("full"),
        BrokerLeadershipError("not me", leader="c:1"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_error_comes_back_as_its_class(
    broker: LoopbackBroker, connect: ConnectTransport, error: LeaseLostError
) -> None:
    broker.answer = refuses(error)
    with pytest.raises(type(error)) as caught:
        await _call(connect)
    told = caught.value
    assert (told.message, told.applied, told.leader) == (error.message, error.applied, error.leader)
    assert (told.remote, told.method) == (True, "getStats")


async def test_error_of_the_port_itself_is_read_as_in_rest(
    broker: LoopbackBroker, connect: ConnectTransport
) -> None:
    broker.answer = says(b'{"_tag":"OverloadedError","message":"too many"}', 429)
    with pytest.raises(OverloadedError, match="too many"):
        await _call(connect)


@pytest.mark.parametrize(
    ("status", "body", "cls"),
    [
        (404, b'{"code":"unimplemented","message":"no such method"}', TransportRequestError),
        (500, b'{"code":"internal","details":[{"type":"google.rpc.ErrorInfo","value":"%"}]}',
         TransportRequestError),
        (408, b'{"code":"deadline_exceeded"}', TransportConnectionError),
        (503, b'{"code":"unavailable","message":"no upstream"}', TransportConnectionError),
        (502, b"<h1>Bad gateway</h1>", TransportConnectionError),
        (504, b"", TransportConnectionError),
        (403, b"<h1>Forbidden</h1>", TransportRequestError),
        (200, b"\xff\xff", TransportRequestError),
    ],
)  # fmt: skip
async def test_answer_of_somebody_else_is_told_by_its_status(
    broker: LoopbackBroker,
    connect: ConnectTransport,
    status: int,
    body: bytes,
    cls: type[TransportRequestError],
) -> None:
    broker.answer = says(body, status)
    with pytest.raises(cls) as caught:
        await _call(connect)
    assert type(caught.value) is cls
    assert caught.value.applied is None
    if cls is TransportRequestError:
        assert (caught.value.status, caught.value.method) == (status, "getStats")


async def test_request_that_no_message_can_say_is_refused_here(connect: ConnectTransport) -> None:
    huge = SubmitRequest(priority=2**70)
    with pytest.raises(BrokerProtocolError, match="out of range"):
        await connect.call(SUBMIT, huge, timeout_s=5)


async def test_call_without_an_answer_in_time_gives_up_its_connection(
    broker: LoopbackBroker, connect: ConnectTransport
) -> None:
    broker.answer = streams()
    with pytest.raises(TransportConnectionError, match=r"within 0\.1 s"):
        await _call(connect, timeout_s=0.1)
    async with asyncio.timeout(10):
        await broker.gone.wait()


# Streams


async def _commits(transport: ConnectTransport) -> list[str]:
    pushed = transport.stream(SUBSCRIBE, SubscribeRequest(), timeout_s=5)
    async with aclosing(pushed) as updates:
        return [update.commit async for update in updates]


@pytest.mark.parametrize("size", [1, 3, 1_000])
async def test_stream_in_pieces_of_any_size_brings_its_messages(
    broker: LoopbackBroker, connect: ConnectTransport, size: int
) -> None:
    whole = enveloped(UPDATE) * 3 + END
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    broker.answer = streams(*pieces, b"")

    assert await _commits(connect) == ["1-2"] * 3

    (request,) = broker.requests
    assert request.path == "/osqueue.v1.QueueService/Subscribe"
    assert request.headers["content-type"] == "application/connect+proto"
    assert "connect-timeout-ms" not in request.headers
    assert broker.bodies[0][:1] == b"\0"
    assert int.from_bytes(broker.bodies[0][1:5], "big") == len(broker.bodies[0]) - 5


async def test_stream_that_ends_by_an_error_raises_it(
    broker: LoopbackBroker, connect: ConnectTransport
) -> None:
    end = json.dumps({"error": _error(OverloadedError("too slow"), "resource_exhausted")}).encode()
    broker.answer = streams(enveloped(UPDATE) + b"\x02" + enveloped(end)[1:], b"")
    with pytest.raises(OverloadedError, match="too slow") as caught:
        await _commits(connect)
    assert (caught.value.method, caught.value.applied) == ("subscribe", "no")


async def test_stream_that_is_refused_raises_why(
    broker: LoopbackBroker, connect: ConnectTransport
) -> None:
    broker.answer = refuses(BrokerLeadershipError("not me", leader="c:1"))
    with pytest.raises(BrokerLeadershipError) as caught:
        await _commits(connect)
    assert caught.value.leader == "c:1"


@pytest.mark.parametrize("half", [b"", enveloped(UPDATE)[:3], enveloped(UPDATE)[:-1]])
async def test_stream_that_breaks_off_is_a_broken_connection(
    broker: LoopbackBroker, connect: ConnectTransport, half: bytes
) -> None:
    broker.answer = streams(enveloped(UPDATE) + half, b"")
    with pytest.raises(TransportConnectionError, match="broke off"):
        await _commits(connect)


@pytest.mark.parametrize(
    ("bytes_", "reason"),
    [
        (b"\x01\0\0\0\x01x", "form that was not asked for"),
        (b"\0\x7f\xff\xff\xffx", "answer_bytes_max"),
        (b"\0\0\0\0\x02\xff\xff", "cannot be read"),
        (b"\x02\0\0\0\x01x", "end cannot be read"),
    ],
)
async def test_stream_of_nonsense_is_an_error_of_the_answer(
    broker: LoopbackBroker, connect: ConnectTransport, bytes_: bytes, reason: str
) -> None:
    broker.answer = streams(bytes_, b"")
    with pytest.raises(TransportRequestError, match=reason):
        await _commits(connect)


async def test_stream_that_is_closed_gives_up_its_connection(
    broker: LoopbackBroker, connect: ConnectTransport
) -> None:
    broker.answer = streams(enveloped(UPDATE))
    async with aclosing(connect.stream(SUBSCRIBE, SubscribeRequest(), timeout_s=5)) as updates:
        await anext(updates)
    async with asyncio.timeout(10):
        await broker.gone.wait()


async def test_answer_read_on_after_the_connections_were_dropped_is_a_broken_connection(
    broker: LoopbackBroker,
) -> None:
    """Between the head of an answer and its body, aiohttp tells that in a way of its own."""
    broker.answer = streams(enveloped(UPDATE))
    pool = HttpPool(broker.url, ClientSettings(), Credentials())
    with pytest.raises(TransportConnectionError, match="was closed"):
        await _read_after_close(pool)


async def _read_after_close(pool: HttpPool) -> None:
    async with pool.opened("/", b"", headers={}) as response:
        await response.content.readany()
        await pool.close()
        await pool.content(response)


async def test_envelope_of_the_largest_size_is_read() -> None:
    class Source:
        def __init__(self) -> None:
            self.chunks = [enveloped(b"x" * 10) + END, b""]

        async def readany(self) -> bytes:
            return self.chunks.pop(0)

    assert [each.data async for each in read(Source(), 10)] == [b"x" * 10, b"{}"]
