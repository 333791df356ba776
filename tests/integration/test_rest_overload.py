"""At its bounds the broker says so, and goes on."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from tests.integration.rest import Answer, Rest, eventually, waiting_claims

from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, CommitSettings, QueueLimits
from osqueue.storage import MemoryBackend
from osqueue.testing.faulty_store import ScriptedStore, Step


def check(answer: Answer) -> None:
    assert (answer.status, answer.tag) == (429, "OverloadedError")
    assert answer.json["applied"] == "no"


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/batch"])
async def test_bytes_when_more_wait_than_allowed_then_429_and_smaller_ones_are_taken(
    session: aiohttp.ClientSession, path: str
) -> None:
    settings = BrokerSettings(commit=CommitSettings(pending_bytes_max=1_000))
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        rest = Rest(session, broker.url)
        for size, status in ((2_000, 429), (500, 200)):
            job = {"payload": "x" * size}
            answer = await rest.post(path, {"jobs": [job]} if path.endswith("batch") else job)
            assert answer.status == status
        assert (await rest.get("/v1/stats")).json["total"] == 1


async def test_requests_when_more_wait_than_allowed_then_429_and_those_before_are_kept(
    session: aiohttp.ClientSession,
) -> None:
    store = ScriptedStore(MemoryBackend())
    settings = BrokerSettings(commit=CommitSettings(pending_ops_max=3))
    async with BrokerServer(store, host="127.0.0.1", port=0, settings=settings) as broker:
        rest = Rest(session, broker.url)
        store.then(Step("put", hold="request"))
        sent = [asyncio.create_task(rest.post("/v1/jobs", {"payload": n})) for n in range(10)]
        await store.held()
        done, _ = await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
        check(next(iter(done)).result())
        store.release()
        async with asyncio.timeout(10):
            answers = await asyncio.gather(*sent)
        taken = [answer for answer in answers if answer.status == 200]
        for answer in answers:
            if answer.status != 200:
                check(answer)
        assert 3 <= len(taken) < 10
        assert (await rest.get("/v1/stats")).json["total"] == len(taken)


async def test_claims_when_more_wait_than_allowed_then_429_for_the_last(
    session: aiohttp.ClientSession,
) -> None:
    settings = BrokerSettings(commit=CommitSettings(waiting_claims_max=1))
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        rest = Rest(session, broker.url)
        first = asyncio.create_task(rest.claim("w", waitMs=60_000))
        await eventually(lambda: waiting_claims(broker) == 1)
        check(await rest.post("/v1/jobs/claim", {"workerId": "v", "waitMs": 60_000}))
        job_id = await rest.submit()
        async with asyncio.timeout(10):
            assert (await first)["jobId"] == job_id


async def test_state_when_full_then_submits_get_429_and_work_goes_on(
    session: aiohttp.ClientSession,
) -> None:
    settings = BrokerSettings(limits=QueueLimits(state_bytes_max=4_000))
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        rest = Rest(session, broker.url)
        job_id = await rest.submit(payload="x" * 3_000)
        refused = await rest.post("/v1/jobs", {"payload": "x" * 3_000})
        check(refused)
        assert "4000 bytes" in refused.message
        await rest.claim("w")
        done = await rest.post(f"/v1/jobs/{job_id}/complete", {"workerId": "w"})
        assert done.status == 204
        await rest.submit(payload="x" * 3_000)
