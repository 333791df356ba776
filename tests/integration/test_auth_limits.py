"""How often one caller may ask, and how many connections one host may hold."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest
from tests.integration.conftest import Dial
from tests.integration.doors import Keys
from tests.integration.rest import Rest, Wire, eventually, open_connections, request

from osqueue.app import BrokerServer
from osqueue.config import STATE_KEY, AccessSettings, BrokerSettings, ServerSettings
from osqueue.storage import MemoryBackend
from osqueue.wire.roles import Role

SLOW = 0.001
"""Requests a second: within a test only those of the burst."""


def open_broker(**settings: object) -> BrokerServer:
    return BrokerServer(
        "memory://",
        host="127.0.0.1",
        port=0,
        settings=BrokerSettings(**settings),  # type: ignore[arg-type]
    )


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


async def test_token_when_it_asks_too_often_then_429_and_when_to_come_and_others_go_on(
    keys: Keys, session: aiohttp.ClientSession
) -> None:
    async with keys.broker(requests_per_s=SLOW, burst=3) as broker:
        rest = Rest(session, broker.url)
        mine = f"Bearer {keys[Role.OBSERVE]}"
        found = [await rest.get("/v1/stats", authorization=mine) for _ in range(5)]
        assert [each.status for each in found] == [200, 200, 200, 429, 429]
        refused = found[-1]
        assert refused.tag == "OverloadedError"
        assert refused.json["applied"] == "no"
        assert "the token the-observe asks more often" in refused.message
        assert 1 <= int(refused.headers["retry-after"]) <= 1_000
        other = f"Bearer {keys[Role.ADMIN]}"
        assert (await rest.get("/v1/stats", authorization=other)).status == 200


async def test_host_when_it_asks_too_often_without_tokens_then_429_but_health_is_told(
    session: aiohttp.ClientSession,
) -> None:
    async with open_broker(access=AccessSettings(requests_per_s=SLOW, burst=2)) as broker:
        rest = Rest(session, broker.url)
        found = [(await rest.get("/v1/stats")).status for _ in range(4)]
        assert found == [200, 200, 429, 429]
        for path in ("/healthz", "/readyz", "/v1/status"):
            assert (await rest.get(path)).status == 200


async def test_body_when_its_sender_asks_too_often_then_it_is_not_applied(
    store: MemoryBackend, session: aiohttp.ClientSession
) -> None:
    settings = BrokerSettings(access=AccessSettings(requests_per_s=SLOW, burst=2))
    async with BrokerServer(store, host="127.0.0.1", port=0, settings=settings) as broker:
        rest = Rest(session, broker.url)
        found = [(await rest.post("/v1/jobs", {"payload": 1})).status for _ in range(3)]
        assert found == [200, 200, 429]
    stored = await store.get(STATE_KEY)
    assert stored is not None
    assert len(json.loads(stored.data)["jobs"]) == 2


async def test_host_when_it_holds_too_many_connections_then_the_next_is_refused_and_closed(
    dial: Dial,
) -> None:
    async with open_broker(server=ServerSettings(connections_per_host=3)) as broker:
        wires = [await dial(broker) for _ in range(3)]
        for wire in wires:
            assert (await asked(wire)) == 200
        late = await dial(broker)
        await late.send(request("/healthz", method="GET"))
        answer = await late.answer()
        assert (answer.status, answer.tag) == (429, "OverloadedError")
        assert "from this host" in answer.message
        assert await late.ended() == b""
        assert [await asked(wire) for wire in wires] == [200, 200, 200]
        wires[0].drop()
        await eventually(lambda: open_connections(broker) == 2)
        assert await asked(await dial(broker)) == 200


async def asked(wire: Wire) -> int:
    await wire.send(request("/healthz", method="GET"))
    return (await wire.answer()).status
