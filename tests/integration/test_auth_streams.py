"""What lives long: streams, WebSockets and gRPC connections, when their token goes meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import Dial
from tests.integration.doors import REQUESTS, Keys
from tests.integration.rest import Answer, eventually

from osqueue.app import BrokerServer
from osqueue.client.credentials import Credentials
from osqueue.client.transports.kinds import dialler_of
from osqueue.client.transports.protocol import QueueTransportAdapter, streaming
from osqueue.config import ClientSettings
from osqueue.errors import (
    AuthError,
    OsqueueError,
    OverloadedError,
    TransportConnectionError,
)
from osqueue.wire import operations as ops
from osqueue.wire.messages import ClaimRequest
from osqueue.wire.operations import JobQuery, Operation
from osqueue.wire.roles import Role

KINDS = ("rest", "connect", "grpc", "ws")
STREAMING = ("connect", "grpc", "ws")


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture
async def locked(keys: Keys) -> AsyncIterator[BrokerServer]:
    async with keys.broker() as broker:
        yield broker


@asynccontextmanager
async def dialled(
    kind: str, broker: BrokerServer, token: str | None
) -> AsyncIterator[QueueTransportAdapter]:
    transport = dialler_of(kind, ClientSettings(), Credentials(token=token)).dial(broker.url)
    try:
        yield transport
    finally:
        await transport.close()


async def call(transport: QueueTransportAdapter, operation: Operation) -> Any:
    return await transport.call(operation, REQUESTS.get(operation.name), timeout_s=10)


async def first_refusal(transport: QueueTransportAdapter) -> OsqueueError:
    """Ask until it is refused; a connection may be closed before that, with what was under way."""
    while True:
        try:
            await call(transport, ops.GET_STATS)
        except TransportConnectionError:
            pass
        except OsqueueError as error:
            return error


@pytest.mark.parametrize("kind", KINDS)
async def test_connection_when_its_token_is_revoked_then_the_next_request_is_refused(
    kind: str, keys: Keys, locked: BrokerServer
) -> None:
    async with dialled(kind, locked, keys[Role.OBSERVE]) as transport:
        await call(transport, ops.GET_STATS)
        keys.write(keys.made[Role.WORK])
        error = await first_refusal(transport)
    assert isinstance(error, AuthError), error
    assert error.status == 401
    assert keys[Role.OBSERVE][-64:] not in error.message


@pytest.mark.parametrize("operation", [ops.SUBSCRIBE, ops.STREAM_JOBS], ids=lambda each: each.name)
@pytest.mark.parametrize("kind", STREAMING)
async def test_stream_when_its_token_is_revoked_then_it_ends_though_nothing_is_asked(
    kind: str, operation: Operation, keys: Keys, locked: BrokerServer
) -> None:
    async with dialled(kind, locked, keys[Role.ADMIN]) as transport:
        stream = streaming(transport).stream(operation, REQUESTS[operation.name], timeout_s=10)
        async with aclosing(stream), asyncio.timeout(20):
            ended = asyncio.ensure_future(drained(stream))
            await call(transport, ops.GET_STATS)
            keys.write(keys.made[Role.WORK])
            error = await ended
    assert isinstance(error, AuthError | TransportConnectionError), error
    assert "was revoked" in error.message


async def drained(stream: Any) -> OsqueueError | None:
    try:
        async for _ in stream:
            pass
    except OsqueueError as error:
        return error
    return None


@pytest.mark.parametrize("kind", KINDS)
async def test_token_when_it_asks_too_often_then_429_on_every_transport(
    kind: str, keys: Keys
) -> None:
    async with (
        keys.broker(requests_per_s=0.001, burst=6) as broker,
        dialled(kind, broker, keys[Role.OBSERVE]) as transport,
    ):
        error = await first_refusal(transport)
    assert isinstance(error, OverloadedError), error
    assert error.applied == "no"
    assert "the token the-observe asks more often" in error.message


@pytest.mark.parametrize("kind", KINDS)
async def test_token_when_it_is_shown_without_any_being_asked_for_then_served(kind: str) -> None:
    async with (
        BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=None) as broker,
        dialled(kind, broker, "osq_of_another_broker") as transport,
    ):
        assert (await call(transport, ops.GET_STATS)).value.total == 0


UPGRADE = (
    "upgrade: websocket",
    "connection: Upgrade",
    "sec-websocket-version: 13",
    "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
)


async def upgraded(broker: BrokerServer, dial: Dial, *headers: str) -> Answer:
    """The answer to a request for a WebSocket."""
    wire = await dial(broker)
    host = () if any(each.startswith("host:") for each in headers) else ("host: broker",)
    lines = ["GET /v1/ws HTTP/1.1", *host, *UPGRADE, *headers, "", ""]
    await wire.send("\r\n".join(lines).encode())
    return await wire.answer()


async def test_websocket_when_opened_without_a_token_then_401_and_what_to_show(
    locked: BrokerServer, keys: Keys, dial: Dial
) -> None:
    answer = await upgraded(locked, dial)
    assert (answer.status, answer.tag) == (401, "AuthError")
    assert answer.headers["www-authenticate"] == 'Bearer realm="osqueue"'
    for header in (f"authorization: Bearer {keys.spare.token}", "authorization: Bearer x"):
        assert (await upgraded(locked, dial, header)).status == 401
    good = f"authorization: Bearer {keys[Role.OBSERVE]}"
    assert (await upgraded(locked, dial, good)).status == 101


async def test_websocket_when_a_page_opens_it_then_by_its_origin_and_a_token_as_subprotocol(
    locked: BrokerServer, keys: Keys, dial: Dial
) -> None:
    token = f"sec-websocket-protocol: osqueue, bearer.{keys[Role.OBSERVE]}"
    own = await upgraded(locked, dial, f"origin: {locked.url}", token)
    assert own.status == 101
    assert own.headers["sec-websocket-protocol"] == "osqueue"
    foreign = await upgraded(locked, dial, "origin: https://evil.example", token)
    assert (foreign.status, foreign.tag) == (403, "AuthError")


@pytest.mark.parametrize(
    "header",
    [
        "origin: https://evil.example",
        "origin: null",
        "host: rebound.example:8080",
        "x-forwarded-for: 8.8.8.8",
    ],
)
async def test_websocket_when_no_token_is_configured_then_only_this_host_and_its_pages(
    header: str, broker: BrokerServer, dial: Dial
) -> None:
    answer = await upgraded(broker, dial, header)
    assert (answer.status, answer.tag) == (403, "AuthError")
    assert (await upgraded(broker, dial)).status == 101


@pytest.mark.parametrize("kind", KINDS)
async def test_claim_when_its_token_is_revoked_while_it_waits_then_it_gets_nothing_any_more(
    kind: str, keys: Keys, locked: BrokerServer
) -> None:
    request = ClaimRequest(worker_id="w", max=1, wait_ms=30_000)
    async with (
        dialled(kind, locked, keys[Role.WORK]) as worker,
        dialled(kind, locked, keys[Role.ADMIN]) as admin,
        asyncio.timeout(20),
    ):
        claim = asyncio.create_task(worker.call(ops.CLAIM, request, timeout_s=30))
        await eventually(lambda: locked.waiting_claims == 1)
        keys.write(keys.made[Role.ADMIN])
        with pytest.raises((AuthError, TransportConnectionError), match="was revoked"):
            await claim
        assert locked.waiting_claims == 0
        await call(admin, ops.SUBMIT)
        assert (await call(admin, ops.GET_STATS)).value.unclaimed == 1


async def test_claim_by_grpc_when_its_token_is_gone_for_a_moment_only_then_it_is_told(
    keys: Keys, locked: BrokerServer
) -> None:
    request = ClaimRequest(worker_id="w", max=1, wait_ms=30_000)
    async with dialled("grpc", locked, keys[Role.WORK]) as worker, asyncio.timeout(20):
        claim = asyncio.create_task(worker.call(ops.CLAIM, request, timeout_s=30))
        await eventually(lambda: locked.waiting_claims == 1)
        tokens: Any = locked._grpc._door._tokens  # type: ignore[union-attr]
        known = tokens._entries
        tokens.replace({})
        tokens.replace(known)
        with pytest.raises(AuthError, match="for a moment"):
            await claim


@pytest.mark.parametrize("kind", KINDS)
async def test_wait_for_an_end_when_its_token_is_revoked_then_it_is_told_and_forgotten(
    kind: str, keys: Keys, locked: BrokerServer
) -> None:
    async with (
        dialled(kind, locked, keys[Role.OBSERVE]) as observer,
        dialled(kind, locked, keys[Role.ADMIN]) as admin,
        asyncio.timeout(20),
    ):
        job_id = (await call(admin, ops.SUBMIT)).value.job_id
        query = JobQuery(wait_ms=30_000)
        waiting = asyncio.create_task(
            observer.call(ops.GET_JOB, query, job_id=job_id, timeout_s=30)
        )
        await eventually(lambda: locked.waiting_ends == 1)
        keys.write(keys.made[Role.ADMIN])
        with pytest.raises((AuthError, TransportConnectionError), match="was revoked"):
            await waiting
        assert locked.waiting_ends == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_claim_when_another_token_is_revoked_while_it_waits_then_it_waits_on(
    kind: str, keys: Keys, locked: BrokerServer
) -> None:
    request = ClaimRequest(worker_id="w", max=1, wait_ms=30_000)
    async with (
        dialled(kind, locked, keys[Role.WORK]) as worker,
        dialled(kind, locked, keys[Role.ADMIN]) as admin,
        dialled(kind, locked, keys[Role.OBSERVE]) as observer,
        asyncio.timeout(20),
    ):
        claim = asyncio.create_task(worker.call(ops.CLAIM, request, timeout_s=30))
        await eventually(lambda: locked.waiting_claims == 1)
        keys.write(keys.made[Role.ADMIN], keys.made[Role.WORK])
        assert isinstance(await first_refusal(observer), AuthError)
        await call(admin, ops.SUBMIT)
        assert len((await claim).value.jobs) == 1
