"""`GET /v1/overview` and the stream `watchOverview`, on the wire."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.integration.doors import Keys
from tests.integration.rest import Rest, check, eventually, json_bytes
from tests.integration.ws import TEXT, Ws, masked

from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, LeadershipSettings, ServerSettings
from osqueue.storage import MemoryBackend
from osqueue.wire.roles import Role

QUICK = BrokerSettings(
    leadership=LeadershipSettings(heartbeat_interval_ms=50, heartbeat_timeout_ms=400)
)


async def opened(ws: Ws, params: object = None) -> dict[str, Any]:
    """The first document of a watch."""
    id_ = await ws.send("watchOverview", params)
    assert await ws.receive() == {"id": id_, "open": True}
    return await event(ws)


async def event(ws: Ws) -> dict[str, Any]:
    told: dict[str, Any] = (await ws.receive())["event"]
    return told


async def test_overview_when_asked_for_by_rest_then_the_whole_and_then_what_is_new(
    rest: Rest,
) -> None:
    await rest.submit(type="t")
    answer = await rest.get("/v1/overview")
    assert answer.status == 200
    assert answer.commit[1] > 0
    told = answer.json
    assert told["reset"]
    assert told["types"] == {"t": {"ready": 1, "inProgress": 0, "dead": 0}}
    assert told["broker"]["ready"]
    assert told["broker"]["address"] == rest.url.removeprefix("http://")
    await rest.claim("w")
    async with asyncio.timeout(10):
        while "counts" not in (new := (await rest.get(f"/v1/overview?since={told['seq']}")).json):
            pass
    assert "reset" not in new
    assert new["counts"]["inProgress"] == 1
    (worker,) = new["workers"]
    assert (worker["id"], worker["held"]) == ("w", 1)


@pytest.mark.parametrize("since", ["", "-", "a-b-c-d", "%00", "x" * 256])
async def test_overview_when_since_means_nothing_then_the_whole(rest: Rest, since: str) -> None:
    answer = await rest.get(f"/v1/overview?since={since}")
    assert (answer.status, answer.json["reset"]) == (200, True)


async def test_overview_when_since_is_too_long_then_refused(rest: Rest, ws: Ws) -> None:
    check(await rest.get(f"/v1/overview?since={'x' * 257}"))
    error = await ws.error("getOverview", {"since": "x" * 257})
    assert error["_tag"] == "BrokerProtocolError"


async def test_overview_when_asked_for_with_head_or_post_then_only_get_is_a_route(
    rest: Rest,
) -> None:
    assert (await rest.post("/v1/overview", {})).status == 405


async def test_watch_when_jobs_come_then_they_are_told(ws: Ws, rest: Rest) -> None:
    first = await opened(ws)
    assert (first["reset"], first["counts"]["total"]) == (True, 0)
    job_id = await rest.submit(type="t")
    told = await event(ws)
    while "counts" not in told:
        told = await event(ws)
    assert told["counts"]["total"] == 1
    assert [each["jobId"] for each in told["activity"]] == [job_id]
    again = await ws.send("watchOverview", {"since": told["seq"]})
    documents = {}
    while again not in documents:
        message = await ws.receive()
        if "event" in message:
            documents[message["id"]] = message["event"]
    assert "reset" not in documents[again]


async def test_overview_when_asked_for_by_websocket_then_it_is_one_answer(ws: Ws) -> None:
    assert (await ws.result("getOverview"))["reset"]


async def test_watch_when_cancelled_then_it_ends(broker: BrokerServer, ws: Ws) -> None:
    await opened(ws)
    assert broker._live is not None
    assert len(broker._live) == 1
    await ws.send("cancel", {"id": "1"})
    answers = [await ws.receive() for _ in range(2)]
    assert any(each.get("result") == {"cancelled": True} for each in answers)
    assert len(broker._live) == 0


async def test_watch_when_its_connection_breaks_then_it_is_forgotten(broker: BrokerServer) -> None:
    live = broker._live
    assert live is not None
    async with await Ws.open(broker) as ws:
        await opened(ws)
    await eventually(lambda: len(live) == 0)


async def test_watch_when_its_client_reads_nothing_then_it_is_dropped_for_a_reason(
    session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="osqueue.server")
    settings = BrokerSettings(server=ServerSettings(send_s_max=1))
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        rest = Rest(session, broker.url)
        for number in range(100):
            await rest.submit(type=f"{number:0250}")
        live = broker._live
        assert live is not None
        async with await Ws.open(broker) as ws:
            ws.wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
            asks = [{"id": n, "method": "getOverview"} for n in range(3_000)]
            asks[0]["method"] = "watchOverview"
            frames = [masked(TEXT, json_bytes(each)) for each in asks]
            await ws.wire.send(b"".join(frames))
            await eventually(lambda: len(live) == 1)
            await eventually(lambda: len(live) == 0)
        assert "nothing was read of what is due" in caplog.text
        assert (await rest.get("/v1/overview")).status == 200


async def test_watch_when_leadership_passes_on_then_it_ends_and_the_new_leader_goes_on(
    session: aiohttp.ClientSession, store: MemoryBackend
) -> None:
    first = BrokerServer(store, host="127.0.0.1", port=0, settings=QUICK)
    second = BrokerServer(store, host="127.0.0.1", port=0, settings=QUICK)
    async with first, second:
        one, other = Rest(session, first.url), Rest(session, second.url)
        await one.submit(type="t")
        told = (await other.get("/v1/overview")).json
        assert set(told) == {"seq", "now", "reset", "broker"}
        assert (told["broker"]["role"], told["broker"]["leader"]) == ("standby", first.address)
        async with await Ws.open(second) as ws:
            error = await ws.error("watchOverview")
            assert error["_tag"] == "BrokerLeadershipError"
            assert error["leader"] == first.address
        async with await Ws.open(first) as ws:
            document = await opened(ws)
            while not (document.get("broker") or {}).get("standbys"):
                document = await event(ws)
            assert document["broker"]["standbys"][0]["address"] == second.address
            seq = document["seq"]
            assert (await one.post("/v1/failover")).status == 204
            message = await ws.receive()
            while "event" in message:
                message = await ws.receive()
            assert message["error"]["_tag"] in {"EngineStateError", "BrokerLeadershipError"}
        async with asyncio.timeout(20):
            while "counts" not in (told := (await other.get(f"/v1/overview?since={seq}")).json):
                pass
        assert told["reset"]
        assert told["counts"]["total"] == 1
        assert told["broker"]["leaderSince"]


@pytest.mark.parametrize("role", [None, *Role])
async def test_overview_when_tokens_are_asked_for_then_only_who_observes_is_told(
    tmp_path: Path, session: aiohttp.ClientSession, role: Role | None
) -> None:
    keys = Keys(tmp_path)
    allowed = role in {Role.OBSERVE, Role.ADMIN}
    async with keys.broker() as broker:
        bearer = {} if role is None else {"authorization": f"Bearer {keys[role]}"}
        answer = await Rest(session, broker.url).get("/v1/overview", **bearer)
        assert answer.status == (200 if allowed else 401 if role is None else 403)
        if role is not None:
            head = f"authorization: Bearer {keys[role]}"
            async with await Ws.open(broker, head) as ws:
                await ws.send("watchOverview")
                answered = await ws.receive()
                assert answered.get("open", False) is allowed
                if not allowed:
                    assert answered["error"]["_tag"] == "AuthError"


async def test_overview_when_types_are_named_like_markup_then_they_are_text(rest: Rest) -> None:
    name = '<img src=x onerror=alert(1)>"\\\u2028\u0000'
    await rest.submit(type=name)
    told = (await rest.get("/v1/overview")).json
    assert list(told["types"]) == [name]
