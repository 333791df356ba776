"""Large payloads through the client and the worker: as any other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.integration.flaky_payloads import FlakyPayloads

from osqueue.app import BrokerServer
from osqueue.client import NewJob, OsqueueClient
from osqueue.config import BrokerSettings, ClientSettings, ServerSettings
from osqueue.errors import BrokerProtocolError, JobIdConflictError, JobNotFoundError
from osqueue.worker import Worker

LARGE = {"text": "é😀" * 300_000, "numbers": list(range(100_000))}
SMALL_BATCHES = ClientSettings(batch_bytes_max=2_000)


@pytest.fixture
def store() -> FlakyPayloads:
    return FlakyPayloads()


@pytest.fixture
async def client(broker: BrokerServer) -> AsyncIterator[OsqueueClient]:
    async with OsqueueClient(broker.url) as client:
        yield client


async def test_submit_job_when_its_payload_is_large_then_it_is_taken_and_kept(
    client: OsqueueClient, store: FlakyPayloads
) -> None:
    job_id = await client.submit_job(
        "t/ü &", LARGE, job_id="a", max_attempts=2, priority=-1, run_at=5
    )
    assert job_id == "a"
    assert len(store.payloads) == 1
    info = await client.get_job("a")
    assert (info.type, info.max_attempts, info.priority) == ("t/ü &", 2, -1)
    assert info.payload is None
    text = await client.get_payload("a")
    assert text is not None
    assert info.payload_bytes == len(text)
    job = await client.claim_job("w")
    assert job is not None
    assert (job.payload, job.raw_payload) == (LARGE, text)
    await client.complete_job(job)
    with pytest.raises(JobNotFoundError):
        await client.get_payload("a")


async def test_get_payload_when_there_is_little_or_none_then_that(client: OsqueueClient) -> None:
    await client.submit_job("t", [1], job_id="a")
    assert await client.get_payload("a") == b"[1]"
    with pytest.raises(JobNotFoundError):
        await client.get_payload("b")


async def test_submit_job_when_large_and_repeated_then_it_takes_effect_once(
    client: OsqueueClient,
) -> None:
    for _ in range(2):
        assert await client.submit_job("t", LARGE, job_id="a") == "a"
    with pytest.raises(JobIdConflictError):
        await client.submit_job("t", {**LARGE, "more": 1}, job_id="a")
    assert (await client.get_stats()).unclaimed == 1


async def test_submit_jobs_when_some_are_large_then_ids_in_order(broker: BrokerServer) -> None:
    async with OsqueueClient(broker.url, settings=SMALL_BATCHES) as client:
        payloads = [[n] * (5_000 if n % 3 == 1 else 1) for n in range(10)]
        jobs = [NewJob("t", payload, job_id=f"j{n}") for n, payload in enumerate(payloads)]
        assert await client.submit_jobs(jobs) == [f"j{n}" for n in range(10)]
        claimed = await client.claim_jobs("w", max_jobs=20)
        assert {job.job_id: job.payload for job in claimed} == {
            f"j{n}": payload for n, payload in enumerate(payloads)
        }


async def test_submit_job_when_larger_than_the_broker_takes_then_a_clear_error(
    store: FlakyPayloads,
) -> None:
    settings = BrokerSettings(server=ServerSettings(payload_bytes_max=1_000_000))
    async with (
        BrokerServer(store, host="127.0.0.1", port=0, settings=settings) as broker,
        OsqueueClient(broker.url) as client,
    ):
        with pytest.raises(BrokerProtocolError, match="larger than 1000000 bytes") as caught:
            await client.submit_job("t", "x" * 1_000_001)
        assert caught.value.status == 413
        assert not caught.value.retryable


async def test_worker_when_a_job_is_large_then_it_runs_as_any_other(
    client: OsqueueClient, store: FlakyPayloads
) -> None:
    seen: asyncio.Queue[object] = asyncio.Queue()

    async def handle(payload: object) -> None:
        await seen.put(payload)

    async with Worker(client, {"t": handle}, concurrency=4):
        for payload in (LARGE, 1, [LARGE]):
            await client.submit_job("t", payload)
        got = [await asyncio.wait_for(seen.get(), 20) for _ in range(3)]
    assert len(got) == 3
    for payload in (LARGE, 1, [LARGE]):
        assert payload in got
    assert (await client.get_stats()).completed_total == 3
    async with asyncio.timeout(10):
        while store.payloads:  # noqa: ASYNC110 - deleting tells nobody
            await asyncio.sleep(0)
