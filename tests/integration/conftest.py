"""Real brokers on a free port of this machine, and clients that speak plain HTTP to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import aiohttp
import pytest
import pytest_asyncio
from tests.integration.rest import Rest, Wire
from tests.integration.ws import Ws

from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, QueueLimits
from osqueue.storage import MemoryBackend

Dial = Callable[[BrokerServer], Awaitable[Wire]]


class Shared(NamedTuple):
    """A broker that the tests of one module share: they must leave no ready job behind."""

    broker: BrokerServer
    rest: Rest


@pytest.fixture
def store() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
async def broker(store: MemoryBackend) -> AsyncIterator[BrokerServer]:
    """A broker of this test's own."""
    async with BrokerServer(store, host="127.0.0.1", port=0) as broker:
        yield broker


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


@pytest.fixture
async def rest(broker: BrokerServer, session: aiohttp.ClientSession) -> Rest:
    return Rest(session, broker.url)


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    """Opens bare connections, which end with the test."""
    wires: list[Wire] = []

    async def open_wire(broker: BrokerServer) -> Wire:
        wires.append(await Wire.open(broker))
        return wires[-1]

    yield open_wire
    for wire in wires:
        wire.drop()


@pytest.fixture
async def ws(broker: BrokerServer) -> AsyncIterator[Ws]:
    """A WebSocket."""
    async with await Ws.open(broker) as ws:
        yield ws


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[Shared]:
    """One broker for a module whose tests change nothing that another looks at.

    The tests of such a module run on the module's loop.
    """
    patient = BrokerSettings(limits=QueueLimits(lease_timeout_ms=600_000))
    async with (
        BrokerServer("memory://", host="127.0.0.1", port=0, settings=patient) as broker,
        aiohttp.ClientSession() as session,
    ):
        yield Shared(broker, Rest(session, broker.url))


@pytest_asyncio.fixture(loop_scope="module")
async def job_held(shared: Shared) -> Rest:
    """With a job ``held`` by the worker ``w``."""
    if (await shared.rest.get("/v1/jobs/held")).status == 404:
        await shared.rest.submit(jobId="held", type="held", payload={"mine": True})
        await shared.rest.claim("w", types=["held"])
    return shared.rest


@pytest_asyncio.fixture(loop_scope="module")
async def held(job_held: Rest) -> AsyncIterator[Rest]:
    """The same; at the end everything must stand as at the beginning."""
    before = await job_held.state()
    yield job_held
    assert await job_held.state() == before
