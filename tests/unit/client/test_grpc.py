"""The gRPC transport, against a scripted server over real sockets on loopback."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp import web
from protobuf.wkt.google.protobuf.any_pb import Any as AnyMessage

from osqueue.client import OsqueueClient
from osqueue.client.credentials import Credentials, TlsSettings
from osqueue.client.transports import Answer, Position
from osqueue.client.transports.grpc import GrpcTransport
from osqueue.errors import (
    BrokerLeadershipError,
    BrokerProtocolError,
    LeaseLostError,
    OsqueueError,
    OverloadedError,
    TransportConfigError,
    TransportConnectionError,
    TransportRequestError,
)
from osqueue.wire.errors import error_info
from osqueue.wire.gen.google.rpc.errors_pb import Status
from osqueue.wire.gen.osqueue.v1 import queue_pb as pb
from osqueue.wire.messages import ClaimRequest, SubmitAnswer, SubmitRequest, SubscribeRequest
from osqueue.wire.operations import CLAIM, GET_STATS, SUBMIT, SUBSCRIBE

STATS = pb.GetStatsResponse(total=1, broker_address="b").to_binary()
UPDATE = pb.Update(commit="1-2").to_binary()
Context = Any
Say = Callable[[bytes, Context], Awaitable[bytes]]
STATUS = {"ready": True, "role": "leader", "address": "b", "brokerId": "i", "epoch": 1}


def says(body: bytes, *metadata: tuple[str, str]) -> Say:
    async def answer(_: bytes, context: Context) -> bytes:
        if metadata:
            await context.send_initial_metadata(metadata)
        return body

    return answer


def refuses(error: OsqueueError, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> Say:
    """An error of ours."""
    detail = AnyMessage(
        type_url="type.googleapis.com/google.rpc.ErrorInfo", value=error_info(error).to_binary()
    )
    details = Status(code=1, message=error.message, details=[detail]).to_binary()
    return aborts(code, error.message, ("grpc-status-details-bin", details))


def aborts(code: grpc.StatusCode, message: str, *trailers: tuple[str, bytes]) -> Say:
    async def answer(_: bytes, context: Context) -> bytes:
        await context.abort(code, message, trailers)
        raise AssertionError

    return answer


async def hangs(_: bytes, __: Context) -> bytes:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


class RpcBroker:
    """Answers each call with ``answer``, and remembers it; `updates` are what a stream brings."""

    def __init__(self) -> None:
        self.answer: Say = says(STATS)
        self.updates: list[bytes] = []
        self.ends: Say = hangs
        self.calls: list[tuple[str, bytes]] = []
        self.metadata: list[dict[str, Any]] = []
        self.deadlines: list[float | None] = []
        self.called, self.gone = asyncio.Event(), asyncio.Event()
        self.status: dict[str, Any] = dict(STATUS)
        self.asked = 0
        self.url = ""
        self.server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Serve gRPC on a new port, and say so over HTTP."""
        self.server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self.server.add_generic_rpc_handlers((_Handler(self),))
        self.status["grpcPort"] = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()

    async def kill(self) -> None:
        assert self.server is not None
        await self.server.stop(0)

    async def unary(self, request: bytes, context: Context, method: str) -> bytes:
        self._note(method, request, context)
        try:
            return await self.answer(request, context)
        except asyncio.CancelledError:
            self.gone.set()
            raise

    async def streamed(
        self, request: bytes, context: Context, method: str
    ) -> AsyncGenerator[bytes, None]:
        self._note(method, request, context)
        try:
            for update in self.updates:
                yield update
            await self.ends(request, context)
        finally:  # by whatever way gRPC ends it
            self.gone.set()

    def _note(self, method: str, request: bytes, context: Context) -> None:
        self.calls.append((method, request))
        self.called.set()
        self.metadata.append(dict(context.invocation_metadata()))
        self.deadlines.append(context.time_remaining())

    async def http(self, _: web.BaseRequest) -> web.StreamResponse:
        self.asked += 1
        return web.json_response(self.status)


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc] # it has no types
    def __init__(self, broker: RpcBroker) -> None:
        self._broker = broker

    def service(self, details: Any) -> Any:
        method = details.method
        if method.endswith("/Subscribe"):

            async def streamed(request: bytes, context: Context) -> AsyncIterator[bytes]:
                async with aclosing(self._broker.streamed(request, context, method)) as pushed:
                    async for each in pushed:
                        yield each

            return grpc.unary_stream_rpc_method_handler(streamed)

        async def unary(request: bytes, context: Context) -> bytes:
            return await self._broker.unary(request, context, method)

        return grpc.unary_unary_rpc_method_handler(unary)


@pytest.fixture
async def broker() -> AsyncIterator[RpcBroker]:
    broker = RpcBroker()
    await broker.start()
    runner = web.ServerRunner(web.Server(broker.http), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    broker.url = "http://{}:{}".format(*runner.addresses[0][:2])
    yield broker
    await runner.cleanup()
    await broker.kill()


@pytest.fixture
async def rpc(broker: RpcBroker) -> AsyncIterator[GrpcTransport]:
    transport = GrpcTransport(broker.url)
    yield transport
    await transport.close()


async def _call(transport: GrpcTransport, timeout_s: float = 5) -> Answer:
    return await transport.call(GET_STATS, timeout_s=timeout_s)


async def test_call_sends_its_message_and_reads_answer_and_commit(
    broker: RpcBroker, rpc: GrpcTransport
) -> None:
    answered = pb.SubmitJobResponse(job_id="a").to_binary()
    broker.answer = says(answered, ("osqueue-commit", "5-10"))

    answer = await rpc.call(SUBMIT, SubmitRequest(type="t", job_id="a"), timeout_s=30)

    assert answer == Answer(SubmitAnswer("a"), Position(5, 10))
    ((method, request),) = broker.calls
    assert method == "/osqueue.v1.QueueService/SubmitJob"
    assert pb.SubmitJobRequest.from_binary(request).type == "t"
    deadline_s = broker.deadlines[0]
    assert deadline_s is not None
    assert 20 < deadline_s < 31


async def test_port_is_asked_for_once_and_again_when_the_connection_has_failed(
    broker: RpcBroker, rpc: GrpcTransport
) -> None:
    await _call(rpc)
    await _call(rpc)
    assert broker.asked == 1

    await broker.kill()
    await broker.start()  # on another port
    async with asyncio.timeout(10):
        while broker.asked == 1 or len(broker.calls) < 3:
            try:
                await _call(rpc)
            except TransportConnectionError:
                await asyncio.sleep(0)
    assert broker.asked >= 2


async def test_broker_without_grpc_says_what_to_do(broker: RpcBroker, rpc: GrpcTransport) -> None:
    broker.status["grpcPort"] = None
    with pytest.raises(TransportConfigError, match="--grpc-port") as caught:
        await _call(rpc)
    assert caught.value.applied == "no"


async def test_url_of_the_port_itself_is_dialled_directly(broker: RpcBroker) -> None:
    url = f"grpc://127.0.0.1:{broker.status['grpcPort']}"
    async with OsqueueClient(url, transport="grpc") as client:
        assert (await client.get_stats()).total == 1
    assert broker.asked == 0


async def test_token_is_shown_with_each_call(broker: RpcBroker) -> None:
    rpc = GrpcTransport(broker.url, credentials=Credentials(token="s3cret"))
    await _call(rpc)
    assert broker.metadata[0]["authorization"] == "Bearer s3cret"
    await rpc.close()


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
    broker: RpcBroker, rpc: GrpcTransport, error: OsqueueError
) -> None:
    broker.answer = refuses(error)
    with pytest.raises(type(error)) as caught:
        await _call(rpc)
    told = caught.value
    assert (told.message, told.applied, told.leader) == (error.message, error.applied, error.leader)
    assert (told.remote, told.method) == (True, "getStats")


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (grpc.StatusCode.UNAVAILABLE, TransportConnectionError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, TransportConnectionError),
        (grpc.StatusCode.INTERNAL, TransportRequestError),
        (grpc.StatusCode.UNAUTHENTICATED, TransportRequestError),
    ],
)
async def test_error_of_somebody_else_is_told_by_its_code(
    broker: RpcBroker, rpc: GrpcTransport, code: grpc.StatusCode, cls: type[OsqueueError]
) -> None:
    broker.answer = aborts(code, "no upstream", ("grpc-status-details-bin", b"\xff\xff"))
    with pytest.raises(cls, match="no upstream") as caught:
        await _call(rpc)
    assert caught.value.applied is None
    assert caught.value.remote == (cls is TransportRequestError)


async def test_answer_that_cannot_be_read_is_an_error_of_the_answer(
    broker: RpcBroker, rpc: GrpcTransport
) -> None:
    broker.answer = says(b"\xff\xff")
    with pytest.raises(TransportRequestError, match="cannot be read"):
        await _call(rpc)


@pytest.mark.parametrize("operation", [GET_STATS, CLAIM])
async def test_call_without_an_answer_in_time_is_given_up(
    broker: RpcBroker, rpc: GrpcTransport, operation: Any
) -> None:
    broker.answer = hangs
    request = ClaimRequest(worker_id="w") if operation is CLAIM else None
    with pytest.raises(TransportConnectionError, match=r"within 0\.3 s") as caught:
        await rpc.call(operation, request, timeout_s=0.3)
    assert caught.value.applied is None
    async with asyncio.timeout(10):
        await broker.gone.wait()


async def test_call_cancelled_tells_the_broker(broker: RpcBroker, rpc: GrpcTransport) -> None:
    broker.answer = hangs
    call = asyncio.ensure_future(rpc.call(CLAIM, ClaimRequest(worker_id="w"), timeout_s=30))
    async with asyncio.timeout(10):
        await broker.called.wait()
        call.cancel()
        await broker.gone.wait()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_broker_killed_while_a_call_waits_breaks_it(
    broker: RpcBroker, rpc: GrpcTransport
) -> None:
    broker.answer = hangs
    call = asyncio.ensure_future(_call(rpc, timeout_s=30))
    async with asyncio.timeout(10):
        await broker.called.wait()
    await broker.kill()
    with pytest.raises(TransportConnectionError) as caught:
        await call
    assert caught.value.applied is None


async def test_reconnect_while_a_call_waits_breaks_it(
    broker: RpcBroker, rpc: GrpcTransport
) -> None:
    broker.answer = hangs
    call = asyncio.ensure_future(_call(rpc, timeout_s=30))
    async with asyncio.timeout(10):
        await broker.called.wait()
    await rpc.reconnect()
    with pytest.raises(TransportConnectionError) as caught:
        await call
    assert caught.value.applied is None


async def test_call_on_a_channel_that_was_just_closed_says_that_nothing_was_received(
    rpc: GrpcTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = await rpc._channels.ready(5)

    async def closed(_: float) -> grpc.aio.Channel:
        await channel.close()
        return channel

    monkeypatch.setattr(rpc._channels, "ready", closed)
    with pytest.raises(TransportConnectionError, match="was closed") as caught:
        await _call(rpc)
    assert caught.value.applied == "no"


async def test_call_while_connecting_is_given_up_says_that_nothing_was_received() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        rpc = GrpcTransport(f"http://127.0.0.1:{mute.getsockname()[1]}")
        call = asyncio.ensure_future(_call(rpc))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await rpc.close()
        with pytest.raises(TransportConnectionError, match="given up") as caught:
            await call
        assert caught.value.applied == "no"


async def test_nobody_there_says_that_nothing_was_received() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        for url in (f"http://127.0.0.1:{port}", f"grpc://127.0.0.1:{port}"):
            rpc = GrpcTransport(url)
            with pytest.raises(TransportConnectionError) as caught:
                await _call(rpc)
            assert caught.value.applied == "no"
            await rpc.close()


async def test_request_that_no_message_can_say_is_refused_here(rpc: GrpcTransport) -> None:
    with pytest.raises(BrokerProtocolError, match="out of range"):
        await rpc.call(SUBMIT, SubmitRequest(priority=2**70), timeout_s=5)


async def test_stream_brings_what_comes_and_is_given_up_when_closed(
    broker: RpcBroker, rpc: GrpcTransport
) -> None:
    broker.updates = [UPDATE] * 3
    async with aclosing(rpc.stream(SUBSCRIBE, SubscribeRequest(), timeout_s=5)) as updates:
        for _ in range(3):
            assert (await anext(updates)).commit == "1-2"
    async with asyncio.timeout(10):
        await broker.gone.wait()
    assert broker.deadlines == [None]


async def test_stream_that_ends_by_an_error_raises_it(
    broker: RpcBroker, rpc: GrpcTransport
) -> None:
    broker.updates, broker.ends = [UPDATE], refuses(OverloadedError("too slow"))
    updates = rpc.stream(SUBSCRIBE, SubscribeRequest(), timeout_s=5)
    await anext(updates)
    with pytest.raises(OverloadedError, match="too slow") as caught:
        await anext(updates)
    assert caught.value.method == "subscribe"


def test_context_of_pythons_tls_is_refused_with_the_reason() -> None:
    context = ssl.create_default_context()
    with pytest.raises(TransportConfigError, match="TlsSettings"):
        OsqueueClient("https://a", transport="grpc", tls=context)
    OsqueueClient("https://a", transport="grpc", tls=TlsSettings())


def test_library_that_is_not_installed_is_named() -> None:
    code = """
import sys
sys.modules["grpc"] = None
from osqueue import OsqueueClient
from osqueue.errors import TransportConfigError
OsqueueClient("http://localhost:1", transport="ws")
try:
    OsqueueClient("http://localhost:1", transport="grpc")
except TransportConfigError as error:
    assert "pip install 'osqueue[grpc]'" in error.message, error
else:
    raise AssertionError
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
