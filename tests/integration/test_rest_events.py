"""`GET /v1/events`: told as it happens, and every way in which it ends."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace
from tests.integration.conftest import Dial
from tests.integration.rest import Rest, Wire, check, eventually, open_connections, request

from osqueue.app import BrokerServer
from osqueue.clock import SystemEntropy
from osqueue.config import (
    EVENTS_PING_S,
    AccessSettings,
    BrokerSettings,
    ServerSettings,
    StreamSettings,
)
from osqueue.server import events as module
from osqueue.server.door.tokens import new_token, token_line
from osqueue.storage import MemoryBackend
from osqueue.wire.roles import Role

from ..unit.broker.test_subscriptions import taken_over


class Events:
    """What comes, event by event: fields by name, comments under ``""``."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    async def next(self) -> dict[str, str]:
        async with asyncio.timeout(10):
            block = (await self._content.readuntil(b"\n\n")).decode()
        pairs = [line.partition(":") for line in block.splitlines() if line]
        return {name: value.removeprefix(" ") for name, _, value in pairs}

    async def update(self) -> Any:
        event = await self.next()
        update = json.loads(event["data"])
        assert event == {"id": update["commit"], "data": event["data"]}
        return update

    async def end(self) -> Any:
        """The error that stands at the end; nothing comes after it."""
        event = await self.next()
        assert event["event"] == "end"
        async with asyncio.timeout(10):
            assert await self._content.read() == b""
        return json.loads(event["data"])


@asynccontextmanager
async def listening(rest: Rest, query: str = "", **headers: str) -> AsyncIterator[Events]:
    """Listens, and has read the first update."""
    url = f"{rest.url}/v1/events{query}"
    async with rest.session.get(url, headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-store"
        events = Events(response.content)
        first = await events.update()
        assert "events" not in first
        yield events


def kinds(update: Any) -> list[str]:
    return [f"{event['kind']} {event['jobId']}" for event in update.get("events", ())]


async def test_events_when_jobs_change_then_each_commit_is_told_as_it_lands(rest: Rest) -> None:
    async with listening(rest, "?statsEveryMs=0") as events:
        await rest.submit(jobId="a", type="mail")
        assert kinds(await events.update()) == ["submitted a"]
        job = await rest.claim("w")
        update = await events.update()
        (claimed,) = update["events"]
        at = claimed.pop("at")
        assert abs(at - job["createdAt"]) < 10_000
        assert claimed == {
            "kind": "claimed", "jobId": "a", "type": "mail", "workerId": "w", "attempt": 1,
        }  # fmt: skip


async def test_events_when_the_counts_change_then_they_are_told_as_stats_says(rest: Rest) -> None:
    async with listening(rest, "?events=false&statsEveryMs=100") as events:
        await rest.submit()
        update = await events.update()
        assert update["stats"] == (await rest.get("/v1/stats")).json
        assert "events" not in update


async def test_events_when_types_are_named_then_only_theirs_are_told(rest: Rest) -> None:
    async with listening(rest, "?types=a&types=b%2Cc&statsEveryMs=0") as events:
        for job_id, type_ in (("1", "x"), ("2", "a"), ("3", "b,c"), ("4", "b")):
            await rest.submit(jobId=job_id, type=type_)
        told = [kinds(await events.update()) for _ in range(2)]
        assert told == [["submitted 2"], ["submitted 3"]]


@pytest.mark.parametrize(
    "query", ["?statsEveryMs=soon", "?statsEveryMs=-1", "?events=maybe", "?types=" + "x" * 257]
)
async def test_events_when_the_query_is_malformed_then_400(rest: Rest, query: str) -> None:
    check(await rest.get(f"/v1/events{query}"))


async def test_events_when_only_the_head_is_asked_for_then_it_comes_alone(
    broker: BrokerServer, dial: Dial
) -> None:
    wire = await dial(broker)
    for _ in range(2):
        await wire.send(request("/v1/events", method="HEAD"))
        answer = await wire.answer(body=False)
        assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")


async def test_events_when_read_by_curl_then_they_come_at_once(rest: Rest) -> None:
    curl = shutil.which("curl")
    assert curl is not None
    process = await asyncio.create_subprocess_exec(
        curl, "-sN", f"{rest.url}/v1/events?statsEveryMs=0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(10):
        await process.stdout.readuntil(b"\n\n")
        await rest.submit(jobId="a")
        told = await process.stdout.readuntil(b"\n\n")
    assert json.loads(told.partition(b"data: ")[2])["events"][0]["jobId"] == "a"
    process.terminate()
    await process.wait()


# Those who listen no more


def subscribers(broker: BrokerServer) -> int:
    assert broker._service is not None
    return len(broker._service.streams.subscriptions)


@pytest.mark.parametrize("idle", [True, False])
async def test_events_when_the_caller_has_gone_then_nothing_is_left_of_it(
    broker: BrokerServer, rest: Rest, dial: Dial, idle: bool
) -> None:
    wire = await dial(broker)
    await wire.send(request("/v1/events", method="GET"))
    await eventually(lambda: subscribers(broker) == 1)
    wire.drop()
    if not idle:
        await rest.submit()
    await eventually(lambda: subscribers(broker) == 0)


async def test_events_when_the_caller_is_cut_off_then_its_silence_breaks_the_connection(
    broker: BrokerServer, rest: Rest
) -> None:
    """What pings cannot tell by themselves: they fit into the system's buffer for hours."""
    async with listening(rest):
        assert broker._http is not None
        (connection,) = broker._http._server.server_state.connections
        sock = connection.transport.get_extra_info("socket")
        limit_ms = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert limit_ms == (EVENTS_PING_S + ServerSettings().send_s_max) * 1_000


async def test_events_when_nothing_happens_then_a_comment_shows_that_it_is_there(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVENTS_LOOK_S", 0.01)
    monkeypatch.setattr(module, "EVENTS_PING_S", 0.02)
    async with listening(rest) as events:
        assert await events.next() == {"": "still here"}
        await rest.submit(jobId="a")
        event: dict[str, str] = {}
        while "data" not in event:
            event = await events.next()
        assert kinds(json.loads(event["data"])) == ["submitted a"]


async def test_events_when_nothing_is_taken_in_then_the_reader_is_dropped_and_the_broker_goes_on(
    session: aiohttp.ClientSession, dial: Dial
) -> None:
    settings = BrokerSettings(
        server=ServerSettings(send_s_max=1), streams=StreamSettings(updates_max=4)
    )
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        rest = Rest(session, broker.url)
        wire = await stuffed(broker, dial)
        jobs = [{"type": "x" * 250} for _ in range(1_000)]
        async with asyncio.timeout(30):
            while subscribers(broker):
                await rest.post("/v1/jobs/batch", {"jobs": jobs})
        await eventually(lambda: open_connections(broker) == 1)
        assert (await rest.get("/v1/stats")).status == 200
        wire.drop()


async def stuffed(broker: BrokerServer, dial: Dial) -> Wire:
    """A connection on which events are asked for, and never read."""
    wire = await dial(broker)
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined] # a transport that reads
    await wire.send(request("/v1/events", method="GET"))
    await eventually(lambda: subscribers(broker) == 1)
    return wire


# The broker's end


async def test_events_when_the_broker_stops_then_they_end_with_the_reason(
    session: aiohttp.ClientSession,
) -> None:
    broker = BrokerServer("memory://", host="127.0.0.1", port=0)
    await broker.start()
    async with listening(Rest(session, broker.url)) as events:
        stopping = asyncio.create_task(broker.stop())
        end = await events.end()
        assert end["_tag"] == "EngineStateError"
        await asyncio.wait_for(stopping, 10)


async def test_events_when_the_broker_stops_and_nothing_is_taken_in_then_broken_off_without_ado(
    dial: Dial, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("osqueue.server.http_server.GRACE_S", 0.1)
    async with BrokerServer("memory://", host="127.0.0.1", port=0) as broker:
        wire = await dial(broker)
        await wire.send(request("/v1/events", method="GET"))
        await wire.reader.readuntil(b"\r\n\r\n")
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined] # of a socket
        async with aiohttp.ClientSession() as session:
            rest = Rest(session, broker.url)
            streams = broker._service.streams  # type: ignore[union-attr]
            while len(streams.subscriptions) == 1:
                await rest.post("/v1/jobs/batch", {"jobs": [{"type": "t" * 200}] * 1_000})
    assert "Exception" not in caplog.text


async def test_events_when_another_broker_takes_over_then_the_end_names_it(
    rest: Rest, store: MemoryBackend
) -> None:
    async with listening(rest) as events:
        await taken_over(store, "10.9.8.7:8080")
        await rest.post("/v1/jobs", {})
        end = await events.end()
        assert (end["_tag"], end["leader"]) == ("BrokerLeadershipError", "10.9.8.7:8080")


async def test_events_at_a_standby_when_asked_for_then_the_leader_is_named(
    broker: BrokerServer, store: MemoryBackend, session: aiohttp.ClientSession
) -> None:
    async with BrokerServer(store, host="127.0.0.1", port=0) as standby:
        answer = await Rest(session, standby.url).get("/v1/events?events=false")
        assert answer.status == 307
        assert answer.headers["location"] == f"{broker.url}/v1/events?events=false"


async def test_events_when_too_many_listen_then_429(session: aiohttp.ClientSession) -> None:
    settings = BrokerSettings(streams=StreamSettings(subscriptions_max=1))
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        rest = Rest(session, broker.url)
        async with listening(rest):
            answer = await rest.get("/v1/events")
            assert (answer.status, answer.tag) == (429, "OverloadedError")


async def test_events_when_the_token_is_revoked_then_they_end(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(module, "EVENTS_LOOK_S", 0.01)
    made = new_token("eve", frozenset({Role.OBSERVE}), SystemEntropy())
    file = tmp_path / "tokens"
    file.write_text(token_line(made.entry) + "\n")
    access = AccessSettings(tokens_file=str(file), reload_ms=5)
    settings = replace(BrokerSettings(), access=access)
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        rest = Rest(session, broker.url)
        assert (await rest.get("/v1/events")).status == 401
        async with listening(rest, authorization=f"Bearer {made.token}") as events:
            file.write_text("")
            end = await events.end()
            assert (end["_tag"], "revoked" in end["message"]) == ("AuthError", True)
