"""WebSockets while leadership changes, tokens go, and the broker stops."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import Dial
from tests.integration.doors import Keys
from tests.integration.rest import eventually
from tests.integration.ws import PING, Ws, sockets_of, upgrade

from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, LeadershipSettings, ServerSettings
from osqueue.engine.observer import Answered, Observers
from osqueue.storage import MemoryBackend
from osqueue.testing.faulty_store import ScriptedStore, Step
from osqueue.wire.roles import Role


async def test_requests_when_the_broker_stands_by_then_told_who_leads(
    broker: BrokerServer, store: MemoryBackend
) -> None:
    async with (
        BrokerServer(store, host="127.0.0.1", port=0) as standby,
        await Ws.open(standby) as ws,
    ):
        for method in ("submitJob", "claimJob", "getStats"):
            error = await ws.error(method, {"workerId": "w", "waitMs": 60_000})
            assert error["_tag"] == "BrokerLeadershipError"
            assert (error["applied"], error["leader"]) == ("no", broker.address)
        status = await ws.result("getStatus")
        assert (status["role"], status["leader"]) == ("standby", broker.address)


async def test_large_message_when_the_broker_stands_by_then_told_under_its_id_who_leads(
    broker: BrokerServer, store: MemoryBackend
) -> None:
    async with (
        BrokerServer(store, host="127.0.0.1", port=0) as standby,
        await Ws.open(standby) as ws,
    ):
        error = await ws.error("submitJob", {"payload": "x" * 5_000_000})
        assert (error["_tag"], error["leader"]) == ("BrokerLeadershipError", broker.address)
        assert await ws.result("getStatus")


async def test_waiting_claim_when_leadership_is_lost_then_told_and_the_connection_stays(
    broker: BrokerServer, store: MemoryBackend, ws: Ws
) -> None:
    claim = await ws.send("claimJob", {"workerId": "w", "types": ["t"], "waitMs": 60_000})
    stream = await ws.send("subscribe", {"statsEveryMs": 0})
    assert (await ws.receive())["open"]
    await eventually(lambda: broker.waiting_claims == 1)
    stored = await store.get("queue.json")
    assert stored is not None
    theirs = {**json.loads(stored.data), "epoch": 4_000_000_000, "commit": "theirs", "jobs": []}
    theirs["broker"] = "10.9.8.7:8080"
    await store.put("queue.json", json.dumps(theirs).encode(), if_version=stored.version)
    unknown = await ws.send("submitJob", {})
    answers: dict[str, Any] = {}
    while len(answers) < 3:
        answer = await ws.receive()
        if "event" not in answer:
            answers[answer["id"]] = answer["error"]
    assert answers[unknown]["applied"] == "unknown"
    for id_ in (claim, stream):
        assert (answers[id_]["_tag"], answers[id_]["leader"]) == (
            "BrokerLeadershipError",
            "10.9.8.7:8080",
        )
    assert (await ws.error("submitJob", {}))["applied"] == "no"


async def test_answers_when_the_broker_stops_then_sent_before_the_close() -> None:
    store = ScriptedStore(MemoryBackend())
    broker = BrokerServer(store, host="127.0.0.1", port=0)
    await broker.start()
    async with await Ws.open(broker) as ws:
        store.then(Step("put", hold="request"))
        ids = [await ws.send("submitJob", {"payload": at}) for at in range(5)]
        await store.held()
        stopping = asyncio.ensure_future(broker.stop())
        store.release()
        answers = [await ws.receive() for _ in ids]
        assert {answer["id"] for answer in answers} == set(ids)
        assert await ws.closed() == (1001, "the broker is stopping")
        ws.wire.drop()
        await stopping


async def test_stop_when_a_client_does_not_answer_the_close_then_it_is_not_waited_for_long() -> (
    None
):
    broker = BrokerServer("memory://", host="127.0.0.1", port=0)
    await broker.start()
    async with await Ws.open(broker):
        async with asyncio.timeout(4):
            await broker.stop()


async def test_stop_when_the_store_is_gone_then_claims_are_told_all_the_same() -> None:
    store = ScriptedStore(MemoryBackend())
    settings = BrokerSettings(
        leadership=LeadershipSettings(heartbeat_interval_ms=100, heartbeat_timeout_ms=400),
        drain_ms=50,
    )
    broker = BrokerServer(store, host="127.0.0.1", port=0, settings=settings)
    await broker.start()
    async with await Ws.open(broker) as ws:
        claim = await ws.send("claimJob", {"workerId": "w", "types": ["t"], "waitMs": 60_000})
        await eventually(lambda: broker.waiting_claims == 1)
        store.then(Step("put", hold="request"))
        submit = await ws.send("submitJob", {})
        await store.held()
        stopping = asyncio.ensure_future(broker.stop())
        answers = {answer["id"]: answer for answer in [await ws.receive() for _ in range(2)]}
        assert answers[claim]["error"]["applied"] == "no"
        assert answers[submit]["error"]["applied"] == "unknown"
        assert (await ws.closed()).code == 1001
        ws.wire.drop()
        await stopping


@pytest.mark.parametrize("as_subprotocol", [False, True])
async def test_token_when_shown_then_let_in_with_its_roles(
    tmp_path: Path, as_subprotocol: bool
) -> None:
    keys = Keys(tmp_path)
    async with keys.broker() as broker:
        token = keys[Role.OBSERVE]
        shown = f"authorization: Bearer {token}"
        if as_subprotocol:
            shown = f"sec-websocket-protocol: osqueue, bearer.{token}"
        async with await Ws.open(broker, shown) as ws:
            assert token not in repr(ws.answer)
            assert await ws.result("getStats")
            error = await ws.error("submitJob", {})
            assert (error["_tag"], "produce" in error["message"]) == ("AuthError", True)
            assert await ws.result("getStats"), "the connection stays"


@pytest.mark.parametrize(
    "shown", ["x: y", "authorization: Bearer osq_wrong", "sec-websocket-protocol: bearer.osq_wrong"]
)
async def test_token_when_missing_or_wrong_then_401(tmp_path: Path, dial: Dial, shown: str) -> None:
    async with Keys(tmp_path).broker() as broker:
        wire = await dial(broker)
        await wire.send(upgrade("/v1/ws", shown))
        answer = await wire.answer()
        assert (answer.status, answer.tag) == (401, "AuthError")
        assert "www-authenticate" in answer.headers


async def test_token_when_revoked_then_the_idle_connection_is_closed_and_its_claim_ended(
    tmp_path: Path,
) -> None:
    keys = Keys(tmp_path)
    async with (
        keys.broker() as broker,
        await Ws.open(broker, f"authorization: Bearer {keys[Role.WORK]}") as ws,
    ):
        await ws.send("claimJob", {"workerId": "w", "waitMs": 60_000})
        await eventually(lambda: broker.waiting_claims == 1)
        keys.write(keys.made[Role.OBSERVE])
        code, reason = await ws.closed()
        assert code == 1008
        assert reason.endswith("was revoked")
        await eventually(lambda: broker.waiting_claims == 0)


class Seen(Observers):
    """Keeps what is told of requests and connections."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Answered] = []
        self.open = 0

    def answered(self, answered: Answered) -> None:
        if answered.transport == "ws":
            self.requests.append(answered)

    def connected(self, transport: str) -> None:
        self.open += transport == "ws"

    def disconnected(self, transport: str) -> None:
        self.open -= transport == "ws"


async def test_observer_when_requests_come_then_told_of_each_once() -> None:
    seen = Seen()
    async with BrokerServer("memory://", host="127.0.0.1", port=0, observers=[seen]) as broker:
        async with await Ws.open(broker) as ws:
            assert seen.open == 1
            await ws.result("submitJob", {"payload": 1})
            await ws.error("completeJob", {"jobId": "x", "workerId": "w"})
            await ws.text(b"nope")
            await ws.receive()
            await ws.send("claimJob", {"workerId": "w", "types": ["none"], "waitMs": 60_000})
            await eventually(lambda: broker.waiting_claims == 1)
        await eventually(lambda: len(seen.requests) == 4)
        assert [(each.operation, each.outcome) for each in seen.requests] == [
            ("submitJob", "ok"),
            ("completeJob", "JobNotFoundError"),
            ("", "BrokerProtocolError"),
            ("claimJobs", "gone"),
        ]
        assert seen.requests[0].sent > 40
        assert (seen.requests[0].peer, seen.requests[0].principal) == ("127.0.0.1", "anonymous")
        await eventually(lambda: seen.open == 0)


async def test_host_when_its_connections_are_counted_then_a_closed_websocket_counts_no_more() -> (
    None
):
    settings = BrokerSettings(server=ServerSettings(connections_per_host=1))
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        for _ in range(3):
            async with await Ws.open(broker) as ws:
                await ws.frame(PING)
                await ws.raw()
            await eventually(lambda: not sockets_of(broker))
