"""What the broker pushes by Connect and gRPC-Web, as bytes."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from tests.integration.conftest import Dial
from tests.integration.rest import Rest, eventually, request
from tests.integration.rpc import SERVICE, WEB, envelope, envelopes, post, trailers

from osqueue.app import BrokerServer
from osqueue.client.credentials import Credentials
from osqueue.client.transports.http_pool import HttpPool
from osqueue.config import BrokerSettings, ClientSettings, ServerSettings
from osqueue.wire.gen.osqueue.v1 import queue_pb as pb

STREAM = {"content-type": "application/connect+json"}


class Pushed:
    """What is pushed in answer to one request."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def raw(self) -> tuple[int, bytes]:
        async with asyncio.timeout(10):
            head = await self.response.content.readexactly(5)
            return head[0], await self.response.content.readexactly(int.from_bytes(head[1:], "big"))

    async def json(self) -> Any:
        flags, message = await self.raw()
        assert flags == 0, message
        return json.loads(message)

    async def end(self) -> Any:
        flags, message = await self.raw()
        assert flags == 2, message
        return json.loads(message)


@asynccontextmanager
async def opened(rest: Rest, method: str, **fields: Any) -> AsyncIterator[Pushed]:
    body = envelope(json.dumps(fields).encode())
    url = rest.url + SERVICE + method
    async with rest.session.post(url, data=body, headers=STREAM) as response:
        yield Pushed(response)


def subscriptions(broker: BrokerServer) -> int:
    assert broker._engine is not None
    listener: Any = broker._engine.listener
    return len(listener.subscriptions)


def job_streams(broker: BrokerServer) -> int:
    assert broker._engine is not None
    listener: Any = broker._engine.listener
    return len(listener.jobs)


async def test_subscribe_when_a_job_comes_then_it_is_told(rest: Rest) -> None:
    async with opened(rest, "Subscribe") as pushed:
        assert pushed.response.headers["content-type"] == "application/connect+json"
        first = await pushed.json()
        assert "brokerAddress" in first["stats"]
        job_id = await rest.submit(type="t")
        (event,) = (await pushed.json())["events"]
        assert (event["kind"], event["jobId"], event["type"]) == ("submitted", job_id, "t")


async def test_subscribe_when_its_reader_goes_away_then_it_ends(
    rest: Rest, broker: BrokerServer
) -> None:
    async with opened(rest, "Subscribe") as pushed:
        await pushed.json()
        assert subscriptions(broker) == 1
        pushed.response.close()
        await eventually(lambda: subscriptions(broker) == 0)


async def test_connection_when_accepted_then_the_system_asks_whether_anybody_is_there(
    broker: BrokerServer, dial: Dial
) -> None:
    await dial(broker)
    assert broker._http is not None
    connections = broker._http._server.server_state.connections
    await eventually(lambda: connections)
    expect_asked(next(iter(connections)).transport)


async def test_stream_when_our_client_reads_it_then_the_system_asks_whether_the_broker_is_there(
    broker: BrokerServer,
) -> None:
    pool = HttpPool(broker.url, ClientSettings(), Credentials())
    reading = pool.opened(SERVICE + "Subscribe", envelope(b"{}"), headers=STREAM, timeout_s=10)
    async with reading as response:
        assert response.connection is not None
        assert response.connection.transport is not None
        expect_asked(response.connection.transport)
    await pool.close()


def expect_asked(transport: asyncio.BaseTransport) -> None:
    sock = transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if hasattr(socket, "TCP_KEEPIDLE"):
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 20


async def test_stream_when_it_waits_then_its_head_has_come(rest: Rest) -> None:
    fields = {"workerId": "w", "credit": 1, "streamId": "s"}
    async with opened(rest, "StreamJobs", **fields) as pushed:
        assert pushed.response.status == 200


async def test_stream_when_it_has_credit_then_jobs_come_up_to_that(
    rest: Rest, broker: BrokerServer
) -> None:
    for n in range(3):
        await rest.submit(payload=n)
    fields = {"workerId": "w", "credit": 2, "streamId": "s"}
    async with opened(rest, "StreamJobs", **fields) as pushed:
        jobs = (await pushed.json())["jobs"]
        assert len(jobs) == 2
        assert (await post(rest, "AddCredit", {"streamId": "s", "total": 3})).body == b"{}"
        assert len((await pushed.json())["jobs"]) == 1
    await eventually(lambda: job_streams(broker) == 0)


async def test_credit_when_there_is_no_such_stream_then_not_found(rest: Rest) -> None:
    answer = await post(rest, "AddCredit", {"streamId": "nope", "total": 1})
    assert (answer.status, answer.json["code"]) == (404, "not_found")


async def test_stream_when_refused_then_the_error_ends_it(rest: Rest) -> None:
    async with opened(rest, "StreamJobs", workerId="", credit=1, streamId="s") as pushed:
        error = (await pushed.end())["error"]
    assert error["code"] == "invalid_argument"
    assert error["details"][0]["debug"]["reason"] == "BrokerProtocolError"


async def test_stream_when_the_broker_stops_then_the_error_ends_it() -> None:
    async with aiohttp.ClientSession() as session:
        broker = BrokerServer("memory://", host="127.0.0.1", port=0)
        await broker.start()
        rest = Rest(session, broker.url)
        async with opened(rest, "Subscribe") as pushed:
            await pushed.json()
            stopping = asyncio.ensure_future(broker.stop())
            error = (await pushed.end())["error"]
            await stopping
    assert error["code"] == "unavailable"


async def test_stream_when_web_then_trailers_end_it(rest: Rest) -> None:
    asked = envelope(pb.StreamJobsRequest(worker_id="w", credit=1).to_binary())
    answer = await post(rest, "StreamJobs", asked, WEB)
    ((flags, end),) = envelopes(answer.body)
    assert (flags, trailers(end)["grpc-status"]) == (0x80, "3")


async def test_stream_when_asked_for_as_unary_then_415(rest: Rest) -> None:
    assert (await post(rest, "Subscribe", {})).status == 415


async def test_reader_when_it_takes_in_nothing_then_dropped_and_others_are_told(
    dial: Dial, session: aiohttp.ClientSession
) -> None:
    impatient = BrokerSettings(server=ServerSettings(send_s_max=1))
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=impatient) as broker:
        rest = Rest(session, broker.url)
        slow = await dial(broker)
        await slow.send(
            request(SERVICE + "Subscribe", b"").replace(
                b"host: broker",
                b"host: broker\r\ncontent-type: application/connect+json\r\ncontent-length: 7",
            )
            + envelope(b"{}")
        )
        await eventually(lambda: subscriptions(broker) == 1)
        slow.reader._transport.pause_reading()  # type: ignore[attr-defined]
        batch = {"jobs": [{"type": "t" * 200}] * 500}
        async with asyncio.timeout(50):
            while subscriptions(broker) == 1:
                await rest.post("/v1/jobs/batch", batch)
            async with opened(rest, "Subscribe") as pushed:
                assert (await pushed.json())["stats"]["total"] > 0


@pytest.mark.parametrize("sent", [b"", b"\x00", envelope(b"{")])
async def test_stream_when_its_request_is_broken_then_the_error_ends_it(
    rest: Rest, sent: bytes
) -> None:
    answer = await post(rest, "Subscribe", sent, STREAM)
    ((flags, end),) = envelopes(answer.body)
    assert flags == 2
    assert json.loads(end)["error"]["details"][0]["debug"]["reason"] == "BrokerProtocolError"
