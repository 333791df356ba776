"""The WebSocket transport, against a scripted server over real sockets on loopback."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from msgspec import Raw

from osqueue.client.credentials import Credentials
from osqueue.client.transports import Answer, Position
from osqueue.client.transports.ws import WsOptions, WsTransport
from osqueue.client.transports.ws_connection import PUSHED_MAX
from osqueue.config import ClientSettings
from osqueue.errors import (
    AuthError,
    BrokerLeadershipError,
    LeaseLostError,
    OsqueueError,
    OverloadedError,
    TransportConfigError,
    TransportConnectionError,
    TransportRequestError,
)
from osqueue.wire.messages import (
    ClaimRequest,
    LeaseRequest,
    Stats,
    StreamRequest,
    SubmitAnswer,
    SubmitRequest,
    SubscribeRequest,
)
from osqueue.wire.operations import (
    CLAIM,
    COMPLETE,
    GET_PAYLOAD,
    GET_STATS,
    STREAM_JOBS,
    SUBMIT,
    SUBMIT_LARGE,
    SUBSCRIBE,
)

STATS = {"total": 0, "unclaimed": 0, "inProgress": 0, "completedTotal": 0, "brokerAddress": "b"}
JOB = {"lease": "l", "attempt": 1, "maxAttempts": 3, "createdAt": 1, "priority": 0}
Say = Callable[[web.WebSocketResponse, dict[str, Any]], Awaitable[None]]


class SocketBroker:
    """Says ``say`` to each frame, and remembers all that it heard."""

    def __init__(self) -> None:
        self.say: Say = says(STATS)
        self.refusal: web.Response | None = None
        self.heard: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.url = ""
        self._changed = asyncio.Event()

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.headers.append(request.headers)
        if self.refusal is not None:
            body, status = self.refusal.body, self.refusal.status
            return web.Response(body=body, status=status)
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        self.sockets.append(connection)
        self._changed.set()
        async for message in connection:
            self.heard.append(json.loads(message.data))
            self._changed.set()
            await self.say(connection, self.heard[-1])
        return connection


def says(result: object, **more: object) -> Say:
    async def say(connection: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        await connection.send_json({"id": frame["id"], "ok": True, "result": result, **more})

    return say


def refuses(tag: str, **more: object) -> Say:
    error = {"_tag": tag, "message": f"{tag}!", **more}

    async def say(connection: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        await connection.send_json({"id": frame["id"], "ok": False, "error": error})

    return say


async def is_silent(_: web.WebSocketResponse, __: dict[str, Any]) -> None:
    """Says nothing."""


async def breaks(connection: web.WebSocketResponse, _: dict[str, Any]) -> None:
    transport = connection._req.transport  # type: ignore[union-attr]
    assert transport is not None
    transport.abort()


@pytest.fixture
async def broker() -> AsyncIterator[SocketBroker]:
    broker = SocketBroker()
    runner = web.ServerRunner(web.Server(broker.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    broker.url = "http://{}:{}".format(*runner.addresses[0][:2])
    yield broker
    await runner.cleanup()


@pytest.fixture
async def ws(broker: SocketBroker) -> AsyncIterator[WsTransport]:
    transport = WsTransport(broker.url)
    yield transport
    await transport.close()


async def _call(transport: WsTransport, timeout_s: float = 5) -> Answer:
    return await transport.call(GET_STATS, timeout_s=timeout_s)


async def test_call_sends_its_method_and_reads_answer_and_commit(
    broker: SocketBroker, ws: WsTransport
) -> None:
    broker.say = says({"jobId": "a"}, commit="5-10")

    answer = await ws.call(SUBMIT, SubmitRequest(type="t", payload=Raw(b"[1]")), timeout_s=5)

    assert answer == Answer(SubmitAnswer("a"), Position(5, 10))
    params = {"type": "t", "payload": [1]}
    assert broker.heard == [{"id": "1", "method": "submitJob", "params": params, "v": 1}]


async def test_call_on_a_job_names_it_in_its_params(broker: SocketBroker, ws: WsTransport) -> None:
    broker.say = says({})
    answer = await ws.call(COMPLETE, LeaseRequest(worker_id="w"), job_id="a", timeout_s=5)
    assert answer.value is None
    await ws.call(COMPLETE, None, job_id='"', timeout_s=5)
    params = [frame["params"] for frame in broker.heard]
    assert params == [{"jobId": "a", "workerId": "w"}, {"jobId": '"'}]


async def test_large_job_goes_as_any_other(broker: SocketBroker, ws: WsTransport) -> None:
    broker.say = says({"jobId": "a"})
    request = SubmitRequest(payload=Raw(b'"x"'), job_id="a")
    await ws.call(SUBMIT_LARGE, request, job_id="a", timeout_s=5)
    assert (broker.heard[0]["method"], broker.heard[0]["params"]["jobId"]) == ("submitJob", "a")


@pytest.mark.parametrize(("result", "payload"), [({"payload": None}, Raw(b"null")), ({}, None)])
async def test_payload_of_a_job_is_text_or_none(
    broker: SocketBroker, ws: WsTransport, result: object, payload: Raw | None
) -> None:
    broker.say = says(result)
    assert (await ws.call(GET_PAYLOAD, job_id="a", timeout_s=5)).value == payload


async def test_answers_in_another_order_reach_their_callers(
    broker: SocketBroker, ws: WsTransport
) -> None:
    async def say(connection: web.WebSocketResponse, _: dict[str, Any]) -> None:
        if len(broker.heard) == 3:
            for frame in reversed(broker.heard):
                stats = {**STATS, "total": int(frame["id"])}
                await connection.send_json({"id": "unknown", "ok": True, "result": {}})
                await connection.send_json({"id": frame["id"], "ok": True, "result": stats})

    broker.say = say
    answers = await asyncio.gather(*[_call(ws) for _ in range(3)])
    assert [answer.value.total for answer in answers] == [1, 2, 3]


async def test_first_calls_at_once_share_one_connection(
    broker: SocketBroker, ws: WsTransport
) -> None:
    await asyncio.gather(*[_call(ws) for _ in range(50)])
    assert len(broker.sockets) == 1


async def test_call_cancelled_while_connecting_leaves_the_others(
    broker: SocketBroker, ws: WsTransport
) -> None:
    calls = [asyncio.ensure_future(_call(ws)) for _ in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert [type(each) for each in done[1:]] == [Answer, Answer]
    assert len(broker.sockets) == 1


async def test_error_comes_back_as_its_class(broker: SocketBroker, ws: WsTransport) -> None:
    broker.say = refuses("LeaseLostError")
    with pytest.raises(LeaseLostError) as caught:
        await _call(ws)
    assert (caught.value.status, caught.value.method) == (409, "getStats")

    broker.say = refuses("BrokerLeadershipError", leader="c:1", applied="no")
    with pytest.raises(BrokerLeadershipError) as moved:
        await _call(ws)
    assert (moved.value.leader, moved.value.applied) == ("c:1", "no")


async def test_error_of_an_unknown_tag_keeps_it(broker: SocketBroker, ws: WsTransport) -> None:
    broker.say = refuses("NewError")
    with pytest.raises(TransportRequestError) as caught:
        await _call(ws)
    assert (caught.value.remote_tag, caught.value.status) == ("NewError", 500)


async def test_answer_that_makes_no_sense_is_an_error_of_the_answer(
    broker: SocketBroker, ws: WsTransport
) -> None:
    broker.say = says({"total": "many"})
    with pytest.raises(TransportRequestError, match="cannot be read"):
        await _call(ws)
    broker.say = says(STATS)
    assert isinstance((await _call(ws)).value, Stats)


async def test_connection_that_breaks_fails_what_is_under_way_and_is_made_again(
    broker: SocketBroker, ws: WsTransport
) -> None:
    broker.say = is_silent
    calls = [asyncio.ensure_future(_call(ws)) for _ in range(3)]
    await broker.until(lambda: len(broker.heard) == 3)
    await breaks(broker.sockets[0], {})
    for error in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(error, TransportConnectionError)
        assert (error.applied, error.remote) == (None, False)

    broker.say = says(STATS)
    assert (await _call(ws)).value.total == 0
    assert len(broker.sockets) == 2


async def test_connection_closed_by_the_broker_says_its_reason(
    broker: SocketBroker, ws: WsTransport
) -> None:
    async def say(connection: web.WebSocketResponse, _: dict[str, Any]) -> None:
        await connection.close(code=1013, message=b"the broker is stopping")

    broker.say = say
    with pytest.raises(TransportConnectionError, match=r"1013.*the broker is stopping") as caught:
        await _call(ws)
    assert caught.value.applied is None


async def test_frame_that_is_no_answer_ends_the_connection(
    broker: SocketBroker, ws: WsTransport
) -> None:
    async def say(connection: web.WebSocketResponse, _: dict[str, Any]) -> None:
        await connection.send_str("hello")

    broker.say = say
    with pytest.raises(TransportConnectionError, match=r"no answer.*hello"):
        await _call(ws)
    broker.say = says(STATS)
    assert (await _call(ws)).value.total == 0


async def test_answer_that_is_too_large_says_so(broker: SocketBroker) -> None:
    ws = WsTransport(broker.url, ClientSettings(answer_bytes_max=100))
    with pytest.raises(TransportConnectionError, match="exceeds limit"):
        await _call(ws)
    await ws.close()


async def test_nobody_there_says_that_nothing_was_received() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        ws = WsTransport(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(TransportConnectionError, match="connection refused") as caught:
            await _call(ws)
        assert caught.value.applied == "no"
        await ws.close()


async def test_peer_that_never_opens_the_socket_is_given_up_in_time() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        ws = WsTransport(f"http://127.0.0.1:{mute.getsockname()[1]}")
        with pytest.raises(TransportConnectionError, match="in time") as caught:
            await _call(ws, timeout_s=0.1)
        assert caught.value.applied == "no"
        await ws.close()


async def test_call_cancelled_tells_the_broker(broker: SocketBroker, ws: WsTransport) -> None:
    broker.say = is_silent
    claim = asyncio.ensure_future(ws.call(CLAIM, ClaimRequest(worker_id="w"), timeout_s=5))
    await broker.until(lambda: broker.heard)
    claim.cancel()
    await broker.until(lambda: len(broker.heard) == 2)
    asked, cancelled = broker.heard
    assert (cancelled["method"], cancelled["params"]) == ("cancel", {"id": asked["id"]})


async def test_claim_cancelled_whose_jobs_are_on_their_way_gives_them_back(
    broker: SocketBroker, ws: WsTransport
) -> None:
    """The answer and the cancelling pass each other."""

    async def say(connection: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        if frame["method"] == "cancel":
            result = {"jobs": [{"jobId": "a", "lease": "l"}]}
            answer = {"id": frame["params"]["id"], "ok": True, "result": result}
            await connection.send_json(answer)
            await connection.send_json(answer)

    broker.say = say
    claim = asyncio.ensure_future(ws.call(CLAIM, ClaimRequest(worker_id="w"), timeout_s=5))
    await broker.until(lambda: broker.heard)
    claim.cancel()
    await broker.until(lambda: len(broker.heard) == 3)
    assert broker.heard[2]["method"] == "releaseJob"
    assert broker.heard[2]["params"] == {"jobId": "a", "workerId": "w", "lease": "l"}
    broker.say = says(STATS)
    await _call(ws)
    assert len(broker.heard) == 4, "once"


async def test_claim_cancelled_and_asked_again_then_what_comes_for_the_first_is_not_given_back(
    broker: SocketBroker, ws: WsTransport
) -> None:
    """A broker answers the second with the same jobs."""
    result = {"jobs": [{"jobId": "a", "lease": "l"}]}

    async def say(connection: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        if frame["method"] == "claimJobs" and len(broker.heard) > 1:
            for asked in (broker.heard[0], frame):
                await connection.send_json({"id": asked["id"], "ok": True, "result": result})
        elif frame["method"] == "getStats":
            await connection.send_json({"id": frame["id"], "ok": False, "error": {"_tag": "x"}})

    broker.say = say
    request = ClaimRequest(worker_id="w", max=1, claim_id="c")
    claim = asyncio.ensure_future(ws.call(CLAIM, request, timeout_s=5))
    await broker.until(lambda: broker.heard)
    claim.cancel()
    with suppress(OsqueueError):
        await ws.call(CLAIM, request, timeout_s=5)
    with suppress(OsqueueError):
        await ws.call(GET_STATS, timeout_s=5)
    methods = [frame["method"] for frame in broker.heard]
    assert "releaseJob" not in methods
    assert methods[-1] == "getStats"


async def test_stream_closed_with_jobs_unread_gives_them_back(
    broker: SocketBroker, ws: WsTransport
) -> None:
    async def say(connection: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        if frame["method"] == "streamJobs":
            for each in ("a", "b"):
                jobs = {"jobs": [{**JOB, "jobId": each}]}
                await connection.send_json({"id": frame["id"], "event": jobs})
        elif frame["method"] == "getStats":
            await says(STATS)(connection, frame)
        elif frame["method"] == "cancel":
            jobs = {"jobs": [{**JOB, "jobId": "c"}]}
            await connection.send_json({"id": frame["params"]["id"], "event": jobs})
            await connection.send_json({"id": frame["params"]["id"], "ok": True, "result": {}})

    broker.say = say
    request = StreamRequest(worker_id="w", credit=3, stream_id="s")
    async with aclosing(ws.stream(STREAM_JOBS, request, timeout_s=5)) as pushed:
        assert (await anext(pushed)).jobs[0].job_id == "a"
        await _call(ws)  # by then, the second has come
    await broker.until(lambda: len(broker.heard) == 5)
    released = [frame["params"]["jobId"] for frame in broker.heard if "release" in frame["method"]]
    assert released == ["b", "c"]


@pytest.mark.parametrize("operation", [GET_STATS, CLAIM])
async def test_call_without_an_answer_in_time_tells_the_broker(
    broker: SocketBroker, ws: WsTransport, operation: Any
) -> None:
    broker.say = is_silent
    with pytest.raises(TransportConnectionError, match=r"within 0\.1 s") as caught:
        await ws.call(operation, timeout_s=0.1)
    assert caught.value.applied is None
    await broker.until(lambda: len(broker.heard) == 2)
    assert broker.heard[1]["method"] == "cancel"


async def test_large_answer_that_is_still_coming_is_waited_for(broker: SocketBroker) -> None:
    """Its frame is sent in halves, each within the time; the whole is not."""
    text = json.dumps({"id": "1", "ok": True, "result": {"payload": "x" * 70_000}}).encode()

    async def say(connection: web.WebSocketResponse, _: dict[str, Any]) -> None:
        frame = bytes([0x81, 127]) + len(text).to_bytes(8, "big") + text
        transport = connection._req.transport  # type: ignore[union-attr]
        assert transport is not None
        for at in range(0, len(frame), len(frame) // 8):
            transport.write(frame[at : at + len(frame) // 8])
            await asyncio.sleep(0.1)  # as a slow network has it

    broker.say = say
    ws = WsTransport(broker.url)
    answer = await ws.call(GET_PAYLOAD, job_id="a", timeout_s=0.5)
    assert len(answer.value) == 70_002
    await ws.close()


async def test_requests_under_way_are_bounded(broker: SocketBroker) -> None:
    broker.say = is_silent
    ws = WsTransport(broker.url, options=WsOptions(requests_max=2))
    calls = [asyncio.ensure_future(_call(ws)) for _ in range(2)]
    await broker.until(lambda: len(broker.heard) == 2)
    with pytest.raises(TransportConnectionError) as caught:
        await _call(ws, timeout_s=0.05)
    assert caught.value.applied == "no"
    assert len(broker.heard) == 2
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    broker.say = says(STATS)
    assert (await _call(ws)).value.total == 0
    await ws.close()


async def test_connection_that_answers_no_ping_has_broken() -> None:
    """A host that is gone keeps its connections: only a missing pong tells."""

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line for line in head.split("\r\n") if "-Key: " in line).partition(": ")[2]
        accept = aiohttp.http_websocket.WS_KEY
        writer.write(_switching(key.encode() + accept))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    ws = WsTransport(url, options=WsOptions(heartbeat_s=0.1))
    with pytest.raises(TransportConnectionError, match="PONG") as caught:
        await _call(ws, timeout_s=30)
    assert caught.value.applied is None
    await ws.close()
    server.close()
    await server.wait_closed()


def _switching(keyed: bytes) -> bytes:
    accept = base64.b64encode(hashlib.sha1(keyed).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-accept: " + accept + b"\r\n\r\n"
    )


async def test_token_is_shown_when_the_socket_is_opened(broker: SocketBroker) -> None:
    ws = WsTransport(broker.url, credentials=Credentials(token="s3cret"))
    await _call(ws)
    assert [headers["authorization"] for headers in broker.headers] == ["Bearer s3cret"]
    await ws.close()


async def test_refused_upgrade_says_what_the_broker_says(
    broker: SocketBroker, ws: WsTransport
) -> None:
    body = b'{"_tag":"AuthError","message":"no such token"}'
    broker.refusal = web.Response(status=401, body=body)
    with pytest.raises(AuthError, match="no such token") as caught:
        await _call(ws)
    assert (caught.value.status, caught.value.applied) == (401, "no")

    broker.refusal = web.Response(status=503, body=b"<h1>away</h1>")
    with pytest.raises(TransportConnectionError, match="503") as away:
        await _call(ws)
    assert away.value.applied == "no"

    broker.refusal = None
    assert (await _call(ws)).value.total == 0


async def test_reconnect_while_calls_wait_breaks_them(
    broker: SocketBroker, ws: WsTransport
) -> None:
    broker.say = is_silent
    call = asyncio.ensure_future(_call(ws))
    await broker.until(lambda: broker.heard)
    await ws.reconnect()
    with pytest.raises(TransportConnectionError, match="dropped by this client"):
        await call
    broker.say = says(STATS)
    assert (await _call(ws)).value.total == 0


async def test_close_while_connecting_ends_the_calls() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        ws = WsTransport(f"http://127.0.0.1:{mute.getsockname()[1]}")
        call = asyncio.ensure_future(_call(ws))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await ws.close()
        with pytest.raises(TransportConnectionError) as caught:
            await call
        assert caught.value.applied == "no"
        with pytest.raises(TransportConfigError, match="closed"):
            await _call(ws)


# Streams


def _event(frame: dict[str, Any], number: int) -> dict[str, Any]:
    return {"id": frame["id"], "event": {"events": [], "commit": f"1-{number}"}}


async def test_stream_brings_events_until_its_end(broker: SocketBroker, ws: WsTransport) -> None:
    async def say(connection: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        await connection.send_json({"id": frame["id"], "open": True})
        for number in range(3):
            await connection.send_json(_event(frame, number))
        await connection.send_json({"id": frame["id"], "ok": True, "result": {}})

    broker.say = say
    pushed = ws.stream(SUBSCRIBE, SubscribeRequest(), timeout_s=5)
    assert [update.commit async for update in pushed] == ["1-0", "1-1", "1-2"]


async def test_stream_that_the_broker_ends_raises_why(
    broker: SocketBroker, ws: WsTransport
) -> None:
    broker.say = refuses("OverloadedError", applied="no")
    with pytest.raises(OverloadedError) as caught:
        await anext(ws.stream(SUBSCRIBE, SubscribeRequest(), timeout_s=5))
    assert (caught.value.status, caught.value.method) == (429, "subscribe")


async def test_stream_whose_connection_breaks_raises_that_after_what_has_come(
    broker: SocketBroker, ws: WsTransport
) -> None:
    async def say(connection: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        await connection.send_json(_event(frame, 1))
        await connection.close()

    broker.say = say
    pushed = ws.stream(SUBSCRIBE, SubscribeRequest(), timeout_s=5)
    assert (await anext(pushed)).commit == "1-1"
    with pytest.raises(TransportConnectionError):
        await anext(pushed)


async def test_stream_that_is_closed_tells_the_broker(
    broker: SocketBroker, ws: WsTransport
) -> None:
    async def say(connection: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        if frame["method"] == "streamJobs":
            await connection.send_json({"id": frame["id"], "event": {"jobs": []}})

    broker.say = say
    request = StreamRequest(worker_id="w", credit=1, stream_id="s")
    async with aclosing(ws.stream(STREAM_JOBS, request, timeout_s=5)) as pushed:
        await anext(pushed)
    await broker.until(lambda: len(broker.heard) == 2)
    assert (broker.heard[1]["method"], broker.heard[1]["params"]) == ("cancel", {"id": "1"})


async def test_stream_that_is_read_too_slowly_ends_and_holds_up_nobody(
    broker: SocketBroker, ws: WsTransport
) -> None:
    async def say(connection: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        if frame["method"] == "subscribe":
            for number in range(PUSHED_MAX + 2):
                await connection.send_json(_event(frame, number))
        elif frame["method"] == "getStats":
            await says(STATS)(connection, frame)

    broker.say = say
    pushed = ws.stream(SUBSCRIBE, SubscribeRequest(), timeout_s=5)
    await anext(pushed)
    await _call(ws)  # by then, all has come
    with pytest.raises(OverloadedError, match="too slowly"):
        async for _ in pushed:
            pass
    assert (await _call(ws)).value.total == 0
