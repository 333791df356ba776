"""Handshakes that go nowhere: they count, they end, and they leave room behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.integration.rest import Wire
from tests.integration.tls.files import Tls

from osqueue.app import BrokerServer
from osqueue.config import ServerSettings

Hang = Callable[[BrokerServer], Coroutine[Any, Any, Wire]]


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path)


@pytest.fixture
async def hang() -> AsyncIterator[Hang]:
    """Connects, and says nothing."""
    wires: list[Wire] = []

    async def connect(broker: BrokerServer) -> Wire:
        host, _, port = broker.address.rpartition(":")
        wires.append(Wire(*await asyncio.open_connection(host, int(port))))
        return wires[-1]

    yield connect
    for wire in wires:
        wire.drop()


async def is_served(tls: Tls, broker: BrokerServer) -> bool:
    url = f"{broker.url}/healthz"
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, ssl=tls.client()) as answer,
        ):
            return answer.status == 200
    except (aiohttp.ClientError, ConnectionError):
        return False


LIMITS = [{"connections_max": 3}, {"connections_per_host": 3}]


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: next(iter(limit)))
async def test_handshakes_when_as_many_as_connections_may_be_then_the_next_is_closed_at_once(
    limit: dict[str, int], tls: Tls, hang: Hang
) -> None:
    async with tls.broker(server=ServerSettings(**limit)) as broker:  # type: ignore[arg-type]
        hanging = [await hang(broker) for _ in range(3)]
        late = await hang(broker)
        assert await late.ended() == b""
        assert not await is_served(tls, broker)
        for wire in hanging:
            wire.drop()
        while not await is_served(tls, broker):
            pass


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: next(iter(limit)))
async def test_handshakes_when_they_have_failed_then_they_count_no_more(
    limit: dict[str, int], tls: Tls, hang: Hang
) -> None:
    async with tls.broker(server=ServerSettings(**limit)) as broker:  # type: ignore[arg-type]
        for _ in range(10):
            wire = await hang(broker)
            await wire.send(b"GET / HTTP/1.1\r\n\r\n")
            await wire.ended()
        while not await is_served(tls, broker):
            pass


async def test_handshakes_when_too_slow_then_they_count_no_more(tls: Tls, hang: Hang) -> None:
    server = ServerSettings(connections_max=2)
    async with tls.broker(tls={"handshake_s_max": 1}, server=server) as broker:
        hanging = [await hang(broker) for _ in range(2)]
        assert not await is_served(tls, broker)
        for wire in hanging:
            assert await wire.ended() == b""
        while not await is_served(tls, broker):
            pass


async def test_host_when_it_holds_too_many_connections_over_tls_then_it_is_told(tls: Tls) -> None:
    context = tls.client()
    async with (
        tls.broker(server=ServerSettings(connections_per_host=1)) as broker,
        aiohttp.ClientSession() as first,
        aiohttp.ClientSession() as second,
    ):
        url = f"{broker.url}/healthz"
        async with first.get(url, ssl=context) as answer:
            assert answer.status == 200
        async with second.get(url, ssl=context) as answer:
            assert answer.status == 429
            assert "from this host" in (await answer.json())["message"]


async def test_stop_when_handshakes_hang_then_they_are_given_up(tls: Tls, hang: Hang) -> None:
    async with tls.broker() as broker:
        hanging = [await hang(broker) for _ in range(3)]
        await is_served(tls, broker)
    for wire in hanging:
        assert await wire.ended() == b""
    assert not [task for task in asyncio.all_tasks() if "handshake" in task.get_name()]
