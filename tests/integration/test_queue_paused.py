"""A queue that is paused, through real brokers, processes without one, workers and the archive."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.integration.rest import eventually
from tests.integration.test_client_failover import local, process

from osqueue import Queue
from osqueue.app import BrokerServer
from osqueue.brokerless import open_brokerless
from osqueue.client import Job, OsqueueClient
from osqueue.config import ArchiveSettings, BrokerSettings, QueueLimits, WorkerSettings
from osqueue.errors import JobStateError
from osqueue.storage import MemoryBackend
from osqueue.worker import Worker

ARCHIVING = BrokerSettings(
    archive=ArchiveSettings(linger_ms=0, look_ms=1), limits=QueueLimits(dedupe_window_ms=0)
)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"file://{tmp_path}/q"


async def test_pause_when_the_leader_is_killed_then_the_next_one_obeys_it(storage: str) -> None:
    """The claim waits all the while, over both of them."""
    async with asyncio.timeout(40), OsqueueClient(storage=storage) as client:
        async with process(storage) as leader:
            await client.submit_job("t", job_id="a")
            await client.pause_queue()
            waiting = asyncio.ensure_future(client.claim_job("w", wait_ms=30_000))
            leader.send_signal(signal.SIGKILL)
            await leader.wait()
        async with local(storage) as other:
            await eventually(lambda: other.waiting_claims == 1)
            assert other.status().paused
            assert (await client.get_stats()).paused
            await client.resume_queue()
            job = await waiting
            assert job is not None
            assert job.job_id == "a"
            assert not other.status().paused


async def test_worker_when_paused_while_it_works_then_it_ends_that_and_goes_on_when_resumed() -> (
    None
):
    started, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(payload: int) -> None:
        started.set()
        await go_on.wait()
        if payload == 1:
            done.set()

    async with (
        BrokerServer(MemoryBackend(), host="127.0.0.1", port=0) as broker,
        OsqueueClient(broker.url) as client,
        Worker(client, {"t": handle}, settings=WorkerSettings(heartbeat_interval_ms=20)),
    ):
        first = await client.submit_job("t", 0)
        await started.wait()
        await client.pause_queue()
        await client.submit_job("t", 1)
        go_on.set()
        assert (await client.wait(first, timeout=20)).status == "completed"
        await eventually(lambda: broker.waiting_claims == 1)
        assert (await client.get_stats()).unclaimed == 1
        await client.resume_queue()
        await asyncio.wait_for(done.wait(), 20)


async def test_pause_when_nobody_leads_then_the_others_and_a_later_broker_obey_it(
    stack: AsyncExitStack, storage: str
) -> None:
    async with AsyncExitStack() as sharing:
        one = (await sharing.enter_async_context(open_brokerless(storage))).client
        other = (await sharing.enter_async_context(open_brokerless(storage))).client
        for job_id in ("a", "b"):
            await one.submit_job("t", job_id=job_id)
        await one.set_priority("b", -1)
        await one.pause_queue()
        assert await other.claim_job("w") is None
        assert (await other.get_stats(consistent=True)).paused
        waiting = asyncio.ensure_future(other.claim_job("w", wait_ms=30_000))
        await one.resume_queue()
        job = await asyncio.wait_for(waiting, 30)
        assert job is not None
        assert job.job_id == "b"
        await other.pause_queue()
    broker = await stack.enter_async_context(local(storage))
    client = await stack.enter_async_context(OsqueueClient(broker.url))
    assert await client.claim_job("w") is None
    await client.resume_queue()
    assert _id_of(await client.claim_job("w")) == "a"


async def test_embedded_queue_when_paused_by_its_client_then_its_loop_waits() -> None:
    async with Queue(int, job_type="t", storage="memory://") as queue:
        await queue.client.pause_queue()
        await queue.push(1)
        assert await queue.claim() is None
        claim = asyncio.ensure_future(queue.claim(wait_ms=30_000))
        await queue.client.resume_queue()
        job = await asyncio.wait_for(claim, 20)
        assert job is not None
        assert job.payload == 1
        await queue.complete(job)


async def test_priority_when_the_job_is_only_in_the_archive_then_it_says_how_it_ended() -> None:
    store = MemoryBackend()
    async with (
        BrokerServer(store, host="127.0.0.1", port=0, settings=ARCHIVING) as broker,
        OsqueueClient(broker.url) as client,
    ):
        job_id = await client.submit_job("t")
        job = await client.claim_job("w")
        assert job is not None
        await client.complete_job(job)
        while stored := await store.get("queue.json"):
            if job_id.encode() not in stored.data:
                break
            await client.get_stats(consistent=True)
        with pytest.raises(JobStateError, match="is over: completed"):
            await client.set_priority(job_id, 1)


def _id_of(job: Job | None) -> str | None:
    return None if job is None else job.job_id
