"""The WebSocket of a client, against peers that do not behave as a broker does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web
from msgspec import Raw

from osqueue.client.transports.ws import WsOptions, WsTransport
from osqueue.client.transports.ws_connection import PUSHED_MAX
from osqueue.config import ClientSettings
from osqueue.errors import OverloadedError, TransportConnectionError, TransportRequestError
from osqueue.testing.transport_expectations import until
from osqueue.wire.messages import ClaimRequest, SubmitRequest, SubscribeRequest
from osqueue.wire.operations import CLAIM, GET_STATS, SUBMIT, SUBSCRIBE

Talk = Callable[[web.WebSocketResponse], Awaitable[None]]

LARGE = SubmitRequest(payload=Raw(b'"' + b"x" * 4_000_000 + b'"'), job_id="a")


@asynccontextmanager
async def peer(talk: Talk, *, heartbeat_s: float | None = None) -> AsyncIterator[str]:
    """Whoever listens here talks like this over each WebSocket; the URL."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=0, heartbeat=heartbeat_s)
        await socket.prepare(request)
        await talk(socket)
        return socket

    async with serving(handle) as url:
        yield url


@asynccontextmanager
async def serving(
    handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(handle, handler_cancellation=True), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def transport_to(url: str, options: WsOptions | None = None) -> AsyncIterator[WsTransport]:
    transport = WsTransport(url, ClientSettings(), options=options)
    try:
        async with asyncio.timeout(20):
            yield transport
    finally:
        await transport.close()


async def reads_nothing(socket: web.WebSocketResponse) -> None:
    below(socket).pause_reading()
    await asyncio.get_running_loop().create_future()


def below(socket: web.WebSocketResponse) -> asyncio.Transport:
    assert socket._req is not None
    assert socket._req.transport is not None
    return socket._req.transport


def clogged(transport: WsTransport) -> bool:
    """Whether the socket takes no more, and those who send wait for it."""
    connection = transport._connection
    return connection is not None and connection._socket._writer.protocol._paused


async def answers_nothing(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass


async def test_call_given_up_while_others_wait_for_the_socket_then_these_go_on_waiting() -> None:
    async with peer(reads_nothing) as url, transport_to(url) as transport:
        others = [
            asyncio.ensure_future(transport.call(SUBMIT, LARGE, timeout_s=1)) for _ in range(3)
        ]
        await until(lambda: clogged(transport))
        given_up = asyncio.ensure_future(transport.call(SUBMIT, LARGE, timeout_s=1))
        others += [asyncio.ensure_future(transport.call(SUBMIT, LARGE, timeout_s=1))]
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait({given_up})
        others += [asyncio.ensure_future(transport.call(SUBMIT, LARGE, timeout_s=1))]
        for each in await asyncio.gather(*others, return_exceptions=True):
            assert isinstance(each, TransportConnectionError), repr(each)
            assert "no answer" in each.message


async def test_connection_that_breaks_while_calls_wait_for_the_socket_then_they_are_told() -> None:
    release = asyncio.Event()

    async def breaks(socket: web.WebSocketResponse) -> None:
        below(socket).pause_reading()
        await release.wait()
        below(socket).abort()

    async with peer(breaks) as url, transport_to(url) as transport:
        calls = [
            asyncio.ensure_future(transport.call(SUBMIT, LARGE, timeout_s=10)) for _ in range(3)
        ]
        await until(lambda: clogged(transport))
        release.set()
        for each in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(each, TransportConnectionError), repr(each)
            assert each.applied is None


@pytest.mark.parametrize("pings", ["ours", "theirs"])
async def test_claim_that_is_never_answered_then_pings_do_not_prolong_it(pings: str) -> None:
    ours, theirs = (0.05, None) if pings == "ours" else (10, 0.05)
    async with (
        peer(answers_nothing, heartbeat_s=theirs) as url,
        transport_to(url, WsOptions(heartbeat_s=ours)) as transport,
        asyncio.timeout(5),
    ):
        with pytest.raises(TransportConnectionError, match="no answer"):
            await transport.call(CLAIM, ClaimRequest(worker_id="w"), timeout_s=0.3)


async def test_stream_that_was_read_too_slowly_then_nothing_comes_after_the_gap() -> None:
    flooded, read_on = asyncio.Event(), asyncio.Event()
    update = '{"id":"1","event":{"commit":"1-%d"}}'

    async def floods(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        for number in range(PUSHED_MAX + 10):
            await socket.send_str(update % number)
        flooded.set()
        await read_on.wait()
        await socket.send_str(update % (PUSHED_MAX + 10))
        await answers_nothing(socket)

    async with peer(floods) as url, transport_to(url) as transport:
        updates = transport.stream(SUBSCRIBE, SubscribeRequest(), timeout_s=5)
        seen = [(await anext(updates)).commit]

        async def read() -> None:
            async for each in updates:
                seen.append(each.commit)
                read_on.set()
                await asyncio.sleep(0)

        await flooded.wait()
        with pytest.raises(OverloadedError, match="too slowly"):
            await read()
        assert seen == [f"1-{number}" for number in range(len(seen))]


async def test_frame_that_is_no_answer_then_the_calls_are_told_what_came() -> None:
    async def babbles(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.send_str("no answer")
        await answers_nothing(socket)

    async with peer(babbles) as url, transport_to(url) as transport:
        with pytest.raises(TransportConnectionError, match=r"given up: .*: no answer$"):
            await transport.call(GET_STATS, timeout_s=5)


async def test_redirect_when_it_is_opened_then_not_followed() -> None:
    dialled = []

    async def elsewhere(request: web.BaseRequest) -> web.StreamResponse:
        dialled.append(request.path)
        return web.Response()

    async with serving(elsewhere) as other:

        async def redirects(_: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=307, headers={"location": f"{other}/v1/ws"})

        async with serving(redirects) as url, transport_to(url) as transport:
            with suppress(TransportConnectionError), pytest.raises(TransportRequestError):
                await transport.call(GET_STATS, timeout_s=5)
    assert dialled == []
