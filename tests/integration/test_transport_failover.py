"""Every transport across the change of brokers, and workers that notice nothing of it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.kinds import KINDS, client_of
from tests.integration.rest import eventually

from osqueue.app import BrokerServer
from osqueue.client import Job, OsqueueClient
from osqueue.config import BrokerSettings, LeadershipSettings, WorkerSettings
from osqueue.errors import OsqueueError
from osqueue.worker import JobContext, Worker

QUICK = BrokerSettings(
    leadership=LeadershipSettings(heartbeat_interval_ms=100, heartbeat_timeout_ms=400)
)
BUSY = WorkerSettings(heartbeat_interval_ms=50, wait_ms=1_000, poll_ms=1)
PROGRAM = Path(__file__).with_name("broker_process.py")

pytestmark = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"file://{tmp_path}/q"


def local(storage: str) -> BrokerServer:
    return BrokerServer(storage, host="127.0.0.1", port=0, grpc_port=None, settings=QUICK)


@asynccontextmanager
async def pair(storage: str) -> AsyncIterator[tuple[BrokerServer, BrokerServer]]:
    """A leader, and one that stands by."""
    async with local(storage) as leader, local(storage) as standby:
        yield leader, standby


async def _submit_slowly(client: OsqueueClient, ids: list[str], submitted: list[str]) -> None:
    for job_id in ids:
        submitted += [await client.submit_job("t", job_id, job_id=job_id)]


async def test_submits_when_the_leader_stops_then_each_is_there_once(
    kind: str, storage: str
) -> None:
    lanes = [[f"{lane}-{number}" for number in range(40)] for lane in range(8)]
    submitted: list[str] = []
    async with (
        asyncio.timeout(40),
        pair(storage) as (leader, standby),
        client_of(kind, leader, standby) as client,
    ):
        async with asyncio.TaskGroup() as group:
            for ids in lanes:
                group.create_task(_submit_slowly(client, ids, submitted))
            await eventually(lambda: len(submitted) > 50)
            await leader.stop()
        queued = [job.job_id async for job in client.iter_jobs()]
        assert (await client.get_stats()).broker_address == standby.address

    assert sorted(queued) == sorted(job_id for ids in lanes for job_id in ids)


async def test_submits_when_the_leader_is_killed_then_each_is_there_once(
    kind: str, storage: str
) -> None:
    if kind == "direct":
        return  # who calls directly is killed, too
    lanes = [[f"{lane}-{number}" for number in range(20)] for lane in range(8)]
    submitted: list[str] = []
    async with (
        asyncio.timeout(50),
        _process(storage) as (process, url),
        local(storage) as standby,
        OsqueueClient([url, standby.url], transport=kind) as client,
    ):
        async with asyncio.TaskGroup() as group:
            for ids in lanes:
                group.create_task(_submit_slowly(client, ids, submitted))
            await eventually(lambda: len(submitted) > 50)
            process.send_signal(signal.SIGKILL)
        queued = [job.job_id async for job in client.iter_jobs()]

    assert sorted(queued) == sorted(job_id for ids in lanes for job_id in ids)


async def test_claim_when_the_leader_stops_then_gets_its_job_from_the_next(
    kind: str, storage: str
) -> None:
    async with (
        asyncio.timeout(30),
        pair(storage) as (leader, standby),
        client_of(kind, leader, standby) as client,
    ):
        claim = asyncio.create_task(client.claim_job("w", wait_ms=60_000))
        await eventually(lambda: leader.waiting_claims)
        await leader.stop()
        await eventually(lambda: standby.waiting_claims)
        await client.submit_job("t", job_id="a")
        job = await claim

    assert job is not None
    assert (job.job_id, job.attempt) == ("a", 1)


async def test_worker_when_the_leader_stops_then_keeps_its_job_and_its_lease(
    kind: str, storage: str
) -> None:
    begun: list[JobContext] = []
    done: list[Job] = []
    finish = asyncio.Event()

    async def handle(_: object, job: JobContext) -> None:
        begun.append(job)
        await finish.wait()

    async with (
        asyncio.timeout(40),
        pair(storage) as (leader, standby),
        client_of(kind, leader, standby) as client,
        Worker(client, {"t": handle}, 2, settings=BUSY, on_job_completed=done.append),
    ):
        await client.submit_job("t", job_id="a")
        await eventually(lambda: begun)
        await leader.stop()
        beaten = (await client.get_job("a")).heartbeat
        while (await client.get_job("a")).heartbeat == beaten:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)
        finish.set()
        await eventually(lambda: done)

    assert [ctx.job.lease for ctx in begun] == [job.lease for job in done]


async def test_worker_of_a_hundred_jobs_then_each_is_done_once(kind: str) -> None:
    done: list[object] = []
    async with (
        asyncio.timeout(30),
        local("memory://") as broker,
        client_of(kind, broker) as client,
        Worker(client, {"t": done.append}, 10, settings=BUSY) as worker,
    ):
        await client.submit_jobs([("t", number) for number in range(100)])
        while (await client.get_stats()).completed_total < 100:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)
        assert worker.running == 0

    assert sorted(map(str, done)) == sorted(map(str, range(100)))


async def test_stream_when_the_leader_stops_then_says_why_and_a_new_one_goes_on(
    kind: str, storage: str
) -> None:
    if kind == "rest":
        return  # brings none; see the contract
    async with (
        asyncio.timeout(30),
        pair(storage) as (leader, standby),
        client_of(kind, standby, leader) as client,
    ):
        updates = client.subscribe()
        assert (await anext(updates)).stats is not None
        stopping = asyncio.create_task(leader.stop())
        with pytest.raises(OsqueueError) as caught:
            async for _ in updates:
                pass
        assert caught.value.retryable
        await stopping
        await client.get_stats()
        assert (await anext(client.subscribe())).stats is not None


@asynccontextmanager
async def _process(storage: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A leader in a process of its own, and its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), storage, "0", "grpc", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        yield process, f"http://{line.decode().strip()}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
