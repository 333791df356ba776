"""What callers are told while the broker does not lead, or cannot know whether it does."""

from __future__ import annotations

import asyncio
import json

import aiohttp
from tests.integration.rest import Rest

from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, CommitSettings, LeadershipSettings
from osqueue.storage import MemoryBackend
from osqueue.testing.faulty_store import Fault, ScriptedStore, Step


async def test_requests_when_the_broker_does_not_lead_yet_then_503_and_health_is_fine(
    session: aiohttp.ClientSession,
) -> None:
    store = ScriptedStore(MemoryBackend(), [Step("get", hold="request")])
    broker = BrokerServer(store, host="127.0.0.1", port=0)
    start = asyncio.create_task(broker.start())
    await store.held()
    rest = Rest(session, broker.url)
    assert (await rest.get("/healthz")).body == b'{"status":"ok"}'
    ready = await rest.get("/readyz")
    assert (ready.status, ready.json["status"]) == (503, "not ready")
    answer = await rest.post("/v1/jobs", {"payload": 1})
    assert (answer.status, answer.tag) == (503, "EngineStateError")
    assert answer.json["applied"] == "no"
    assert "starting" in answer.message
    store.release()
    async with asyncio.timeout(10):
        await start
    assert (await rest.get("/v1/stats")).json["total"] == 0
    await broker.stop()


async def test_requests_when_another_broker_has_taken_over_then_they_are_sent_there(
    rest: Rest, store: MemoryBackend
) -> None:
    stored = await store.get("queue.json")
    assert stored is not None
    theirs = {**json.loads(stored.data), "epoch": 4_000_000_000, "commit": "theirs", "jobs": []}
    theirs["broker"] = "10.9.8.7:8080"
    await store.put("queue.json", json.dumps(theirs).encode(), if_version=stored.version)
    unknown = await rest.post("/v1/jobs", {"payload": 1})
    assert (unknown.status, unknown.json["applied"]) == (503, "unknown")
    refused = await rest.post("/v1/jobs", {"payload": 2})
    assert (refused.status, refused.tag) == (307, "BrokerLeadershipError")
    assert refused.headers["location"] == "http://10.9.8.7:8080/v1/jobs"
    assert (refused.json["applied"], refused.json["leader"]) == ("no", "10.9.8.7:8080")
    ready = await rest.get("/readyz")
    assert (ready.status, ready.json["leader"]) == (503, "10.9.8.7:8080")


async def test_requests_when_the_store_fails_then_503_says_whether_they_were_applied(
    session: aiohttp.ClientSession,
) -> None:
    memory = MemoryBackend()
    store = ScriptedStore(memory)
    settings = BrokerSettings(
        commit=CommitSettings(answer_ms_max=100),
        leadership=LeadershipSettings(heartbeat_interval_ms=100, heartbeat_timeout_ms=400),
        drain_ms=100,
    )
    broker = BrokerServer(store, host="127.0.0.1", port=0, settings=settings)
    async with broker:
        rest = Rest(session, broker.url)
        store.then(*[Step("put", Fault.LOST_REQUEST)] * 1000)
        async with asyncio.timeout(10):
            answer = await rest.post("/v1/jobs", {"payload": 1})
            stats = await rest.get("/v1/stats?consistent=true")
    assert (answer.status, answer.tag) == (503, "CommitUnknownError")
    assert answer.json["applied"] == "unknown"
    assert (stats.status, stats.json["applied"]) == (503, "no")
