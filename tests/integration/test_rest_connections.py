"""Clients that leave, dawdle or come in crowds, and the others beside them."""

from __future__ import annotations

import asyncio

import aiohttp
from tests.integration.conftest import Dial
from tests.integration.rest import (
    Rest,
    connect,
    eventually,
    open_connections,
    request,
    waiting_claims,
)

from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, ServerSettings
from osqueue.storage import MemoryBackend
from osqueue.testing.faulty_store import ScriptedStore, Step

CLAIM = b'{"workerId":"gone"}'
WAITING = b'{"workerId":"gone","waitMs":60000}'
POST = b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\n"

HALVES = [
    b"",
    b"POST /v1/jobs HT",
    POST + b"content-le",
    POST + b"content-length: 20\r\n\r\n",
    POST + b"content-length: 20\r\n\r\n{",
    POST + b"transfer-encoding: chunked\r\n\r\n5\r\n{",
    b"GET /v1/stats HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n",
]
"""Requests that have begun, or not even that, and do not go on."""


def server(**settings: int) -> BrokerServer:
    return BrokerServer(
        "memory://",
        host="127.0.0.1",
        port=0,
        settings=BrokerSettings(server=ServerSettings(**settings)),  # type: ignore[arg-type]
    )


async def test_claimer_when_it_leaves_while_it_waits_then_the_next_job_is_for_others(
    rest: Rest, broker: BrokerServer, dial: Dial
) -> None:
    wire = await dial(broker)
    await wire.send(request("/v1/jobs/claim", WAITING))
    await eventually(lambda: waiting_claims(broker) == 1)
    wire.drop()
    await eventually(lambda: waiting_claims(broker) == 0)
    job_id = await rest.submit()
    assert (await rest.claim("here"))["jobId"] == job_id


async def test_claimer_when_it_connects_asks_and_leaves_then_the_job_goes_to_the_next(
    rest: Rest, broker: BrokerServer
) -> None:
    job_id = await rest.submit(maxAttempts=1)
    gone = connect(broker)
    gone.sendall(request("/v1/jobs/claim", CLAIM))
    gone.close()
    async with asyncio.timeout(10):
        job = await rest.claim("here", waitMs=9_000)
    assert (job["jobId"], job["attempt"]) == (job_id, 1)


async def test_claimer_when_it_leaves_right_after_asking_then_the_job_goes_to_the_next(
    rest: Rest, broker: BrokerServer
) -> None:
    job_id = await rest.submit(maxAttempts=1)
    gone = connect(broker)
    await eventually(lambda: open_connections(broker) == 2)
    gone.sendall(request("/v1/jobs/claim", CLAIM))
    gone.close()
    async with asyncio.timeout(10):
        job = await rest.claim("here", waitMs=9_000)
    assert (job["jobId"], job["attempt"]) == (job_id, 1)


async def test_claimer_when_it_leaves_before_the_commit_then_the_job_goes_to_the_next(
    session: aiohttp.ClientSession, dial: Dial
) -> None:
    store = ScriptedStore(MemoryBackend())
    async with BrokerServer(store, host="127.0.0.1", port=0) as broker:
        rest = Rest(session, broker.url)
        job_id = await rest.submit()
        wire = await dial(broker)
        store.then(Step("put", hold="request"))
        await wire.send(request("/v1/jobs/claim", CLAIM))
        await store.held()
        wire.drop()
        await eventually(lambda: open_connections(broker) == 1)
        store.release()
        async with asyncio.timeout(10):
            assert (await rest.claim("here", waitMs=9_000))["jobId"] == job_id


async def test_submitter_when_it_leaves_then_its_job_is_kept_all_the_same(
    rest: Rest, broker: BrokerServer
) -> None:
    gone = connect(broker)
    gone.sendall(request("/v1/jobs", b'{"payload":"last words"}'))
    gone.close()
    async with asyncio.timeout(10):
        assert (await rest.claim("here", waitMs=9_000))["payload"] == "last words"


async def test_requests_when_many_stay_unfinished_then_others_are_served(
    rest: Rest, broker: BrokerServer, dial: Dial
) -> None:
    for half in HALVES * 10:
        await (await dial(broker)).send(half)
    await eventually(lambda: open_connections(broker) >= 70)
    async with asyncio.timeout(10):
        for n in range(20):
            await rest.submit(payload=n)
        assert len(await rest.claim("w", max=100)) == 20


async def test_requests_when_unfinished_for_too_long_then_408_and_the_end(dial: Dial) -> None:
    async with server(request_s_max=0) as broker:
        wires = [await dial(broker) for _ in HALVES]
        for wire, half in zip(wires, HALVES, strict=True):
            await wire.send(half)
        for wire in wires:
            answer = await wire.answer()
            assert (answer.status, answer.tag) == (408, "BrokerProtocolError")
            assert await wire.ended() == b""


async def test_request_when_it_comes_byte_by_byte_then_it_is_served(
    broker: BrokerServer, dial: Dial
) -> None:
    wire = await dial(broker)
    for byte in request("/v1/jobs", b'{"jobId":"slow","payload":[1]}'):
        await wire.send(bytes([byte]))
        await asyncio.sleep(0)
    assert (await wire.answer()).body == b'{"jobId":"slow"}'


async def test_requests_when_pipelined_then_answered_in_order(
    broker: BrokerServer, dial: Dial
) -> None:
    wire = await dial(broker)
    ids = [f"p{n}" for n in range(20)]
    await wire.send(b"".join(request("/v1/jobs", b'{"jobId":"%b"}' % i.encode()) for i in ids))
    assert [(await wire.answer()).json["jobId"] for _ in ids] == ids


async def test_connections_when_256_at_once_then_all_are_served(
    broker: BrokerServer, dial: Dial
) -> None:
    async def cycle(number: int) -> str:
        wire = await dial(broker)
        worker = b'{"workerId":"w%d"}' % number
        await wire.send(request("/v1/jobs", b'{"payload":%d}' % number))
        await wire.answer()
        await wire.send(request("/v1/jobs/claim", worker))
        job_id: str = (await wire.answer()).json["jobId"]
        await wire.send(request(f"/v1/jobs/{job_id}/complete", worker))
        assert (await wire.answer()).status == 204
        return job_id

    async with asyncio.timeout(30):
        assert len(set(await asyncio.gather(*[cycle(n) for n in range(256)]))) == 256


async def test_claimers_when_256_wait_then_each_gets_one_job(
    rest: Rest, broker: BrokerServer
) -> None:
    claims = [asyncio.create_task(rest.claim(f"w{n}", waitMs=60_000)) for n in range(256)]
    await eventually(lambda: waiting_claims(broker) == 256)
    await rest.post("/v1/jobs/batch", {"jobs": [{"payload": n} for n in range(256)]})
    async with asyncio.timeout(30):
        payloads = {job["payload"] for job in await asyncio.gather(*claims)}
    assert payloads == set(range(256))


async def test_connections_when_too_many_then_429_for_the_last_and_service_for_the_others(
    dial: Dial,
) -> None:
    async with server(connections_max=2) as broker:
        first, second, third = [await dial(broker) for _ in range(3)]
        await third.send(request("/healthz", method="GET"))
        answer = await third.answer()
        assert (answer.status, answer.tag) == (429, "OverloadedError")
        assert answer.json["applied"] == "no"
        assert await third.ended() == b""
        for wire in (first, second):
            await wire.send(request("/healthz", method="GET"))
            assert (await wire.answer()).status == 200


async def test_connections_when_one_of_too_many_leaves_then_the_next_is_served(
    dial: Dial,
) -> None:
    async with server(connections_max=1) as broker:
        first = await dial(broker)
        await eventually(lambda: open_connections(broker) == 1)
        first.drop()
        await eventually(lambda: open_connections(broker) == 0)
        second = await dial(broker)
        await second.send(request("/healthz", method="GET"))
        assert (await second.answer()).status == 200
