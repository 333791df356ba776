"""A broker for each row, and each of the ways into it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import pytest
from tests.conformance.peers import PEERS, Address, Peer, Said
from tests.conformance.rows import ways_of
from tests.integration.doors import Keys

from osqueue.app import BrokerServer
from osqueue.config import (
    AccessSettings,
    BrokerSettings,
    CommitSettings,
    LeadershipSettings,
    ServerSettings,
)
from osqueue.storage import MemoryBackend
from osqueue.testing import FaultyStore
from osqueue.testing.faults import Fault, RandomFaults

BY_NAME = {peer.name: peer for peer in PEERS}
WAYS = ("peer", "loose", "standby", "stalled", "calling")


class Ask:
    """One way into one broker."""

    def __init__(self, peer: Peer, address: str) -> None:
        self.ask = peer.ask
        self.close = peer.close
        self.address = address
        self.json = peer.name in {"REST", "WebSocket"}
        self._name = peer.name

    @property
    def tag_key(self) -> str:
        """What the tag of an error within an answer is called."""
        return "_tag" if self.json else "tag"

    def expect(
        self, said: Said, tag: str | None, *, http: str, rpc: str, upgrade: str = ""
    ) -> None:
        """A refusal with this tag (``None``: any of ours, or none), classified in its own words.

        ``upgrade``: the status where a WebSocket is not even opened.
        """
        assert said.value == {}, "a refusal is no success"
        classified = {"REST": http, "WebSocket": upgrade}.get(self._name, rpc)
        assert said.status == classified, said
        if tag is not None and not (upgrade and self._name == "WebSocket"):
            assert said.tag == tag, said


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every row runs on every way in that it is about."""
    for fixture in WAYS:
        if fixture in metafunc.fixturenames:
            names = ways_of(metafunc.function)
            metafunc.parametrize(fixture, names, indirect=True)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def serving(**more: Any) -> BrokerSettings:
    """Any free ports; gRPC, too."""
    server = ServerSettings(host="127.0.0.1", port=0, grpc_port=None)
    return BrokerSettings(server=server, **more)


async def way(name: str, broker: BrokerServer, session: aiohttp.ClientSession) -> Ask:
    address = Address(broker.url, f"127.0.0.1:{broker.status().grpc_port}")
    return Ask(BY_NAME[name](address, session), broker.address)


Calling: TypeAlias = Callable[[BrokerServer, Mapping[str, str]], Awaitable[Ask]]
"""A way into a broker, with these headers on every request."""


@pytest.fixture
async def broker() -> AsyncIterator[BrokerServer]:
    async with BrokerServer(MemoryBackend(), settings=serving()) as broker:
        yield broker


@pytest.fixture
async def peer(
    request: pytest.FixtureRequest, broker: BrokerServer, session: aiohttp.ClientSession
) -> AsyncIterator[Ask]:
    asking = await way(request.param, broker, session)
    yield asking
    await asking.close()


@pytest.fixture
async def loose(
    request: pytest.FixtureRequest, broker: BrokerServer, session: aiohttp.ClientSession
) -> AsyncIterator[Ask]:
    """A way that can say what breaks the types of the contract."""
    asking = await way(request.param, broker, session)
    yield asking
    await asking.close()


@pytest.fixture
async def other(broker: BrokerServer, session: aiohttp.ClientSession) -> Ask:
    """Somebody else, over REST."""
    return await way("REST", broker, session)


@pytest.fixture
async def leader_and_standby() -> AsyncIterator[tuple[BrokerServer, BrokerServer]]:
    store = MemoryBackend()
    async with (
        BrokerServer(store, settings=serving()) as leader,
        BrokerServer(store, settings=serving()) as second,
    ):
        yield leader, second


@pytest.fixture
def leader_address(leader_and_standby: tuple[BrokerServer, BrokerServer]) -> str:
    return leader_and_standby[0].address


@pytest.fixture
async def standby(
    request: pytest.FixtureRequest,
    leader_and_standby: tuple[BrokerServer, BrokerServer],
    session: aiohttp.ClientSession,
) -> AsyncIterator[Ask]:
    asking = await way(request.param, leader_and_standby[1], session)
    yield asking
    await asking.close()


@pytest.fixture
async def stalled(
    request: pytest.FixtureRequest, session: aiohttp.ClientSession
) -> AsyncIterator[Ask]:
    """A way into a broker whose store takes no more writes."""
    store = FaultyStore(MemoryBackend(), RandomFaults(seed=1, rates={}))
    quick = serving(
        commit=CommitSettings(answer_ms_max=500, backoff_max_ms=50),
        leadership=LeadershipSettings(heartbeat_interval_ms=200, heartbeat_timeout_ms=1_000),
        drain_ms=100,
    )
    async with BrokerServer(store, settings=quick) as broker:
        asking = await way(request.param, broker, session)
        store.faults = RandomFaults(seed=1, rates={Fault.LOST_REQUEST: 1.0})
        yield asking
        await asking.close()


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture
async def locked(keys: Keys) -> AsyncIterator[BrokerServer]:
    """A broker that asks for tokens."""
    access = AccessSettings(tokens_file=str(keys.path), reload_ms=5)
    async with BrokerServer(MemoryBackend(), settings=serving(access=access)) as broker:
        yield broker


@pytest.fixture
async def calling(request: pytest.FixtureRequest) -> AsyncIterator[Calling]:
    async with AsyncExitStack() as closing:

        async def call(broker: BrokerServer, headers: Mapping[str, str]) -> Ask:
            session = aiohttp.ClientSession(headers=headers)
            asking = await way(request.param, broker, await closing.enter_async_context(session))
            closing.push_async_callback(asking.close)
            return asking

        yield call
