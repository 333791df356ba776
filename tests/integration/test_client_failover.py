"""A client that knows only the storage, through the change of real brokers."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.rest import eventually

from osqueue.app import BrokerServer
from osqueue.client import Job, NewJob, OsqueueClient
from osqueue.config import BrokerSettings, LeadershipSettings, WorkerSettings
from osqueue.worker import JobContext, Worker

BUSY = WorkerSettings(heartbeat_interval_ms=50, wait_ms=1_000, poll_ms=1)
PROGRAM = Path(__file__).with_name("broker_process.py")


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"file://{tmp_path}/q"


@pytest.fixture
async def client(storage: str) -> AsyncIterator[OsqueueClient]:
    async with OsqueueClient(storage=storage) as client:
        yield client


def local(storage: str, settings: BrokerSettings | None = None) -> BrokerServer:
    return BrokerServer(storage, host="127.0.0.1", port=0, settings=settings)


@asynccontextmanager
async def process(storage: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A broker in a process of its own, once it leads."""
    broker = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), storage, "0", stdout=asyncio.subprocess.PIPE
    )
    assert broker.stdout is not None
    try:
        await asyncio.wait_for(broker.stdout.readline(), 20)
        yield broker
    finally:
        if broker.returncode is None:
            broker.kill()
        await broker.wait()


async def _submit_slowly(client: OsqueueClient, ids: list[str], submitted: list[str]) -> None:
    for job_id in ids:
        submitted += [await client.submit_job("t", job_id, job_id=job_id)]


async def _queued(client: OsqueueClient) -> list[str]:
    return [job.job_id async for job in client.iter_jobs()]


async def test_submits_when_the_broker_is_stopped_and_another_begins_then_each_is_there_once(
    client: OsqueueClient, storage: str
) -> None:
    lanes = [[f"{lane}-{number}" for number in range(60)] for lane in range(8)]
    submitted: list[str] = []
    async with asyncio.timeout(40):
        async with local(storage), asyncio.TaskGroup() as group:
            for ids in lanes:
                group.create_task(_submit_slowly(client, ids[:30], submitted))
        async with asyncio.TaskGroup() as group:
            for ids in lanes:
                group.create_task(_submit_slowly(client, ids[30:], submitted))
            async with local(storage):
                await eventually(lambda: len(submitted) > 300)
            async with local(storage):
                await eventually(lambda: len(submitted) == 480)
                queued = await _queued(client)

    assert sorted(queued) == sorted(job_id for ids in lanes for job_id in ids)
    assert len(submitted) == len(set(submitted)) == 480


async def test_submits_when_the_broker_is_killed_and_another_begins_then_each_is_there_once(
    client: OsqueueClient, storage: str
) -> None:
    lanes = [[f"{lane}-{number}" for number in range(40)] for lane in range(8)]
    submitted: list[str] = []
    async with asyncio.timeout(50), asyncio.TaskGroup() as group:
        async with process(storage) as broker:
            for ids in lanes:
                group.create_task(_submit_slowly(client, ids, submitted))
            await eventually(lambda: len(submitted) > 50)
            broker.send_signal(signal.SIGKILL)
            await broker.wait()
        async with local(storage):
            await eventually(lambda: len(submitted) == 320)
            queued = await _queued(client)

    assert sorted(queued) == sorted(job_id for ids in lanes for job_id in ids)


async def test_claim_when_its_broker_is_stopped_and_another_takes_over_then_gets_its_job_there(
    client: OsqueueClient, storage: str
) -> None:
    async with asyncio.timeout(25), process(storage) as broker:
        claim = asyncio.create_task(client.claim_jobs("w", max_jobs=1, wait_ms=60_000))
        await client.get_stats()
        broker.send_signal(signal.SIGSTOP)
        settings = BrokerSettings(
            leadership=LeadershipSettings(heartbeat_interval_ms=100, heartbeat_timeout_ms=400)
        )
        async with local(storage, settings) as second, OsqueueClient(second.url) as other:
            job_id = await other.submit_job("t")
            (job,) = await claim

    assert job.job_id == job_id


async def test_worker_when_its_broker_is_replaced_then_keeps_its_job_and_its_lease(
    client: OsqueueClient, storage: str
) -> None:
    begun: list[JobContext] = []
    done: list[Job] = []
    finish = asyncio.Event()

    async def handle(_: object, job: JobContext) -> None:
        begun.append(job)
        await finish.wait()

    options = {"settings": BUSY, "on_job_completed": done.append}
    async with asyncio.timeout(40):
        async with local(storage):
            await client.submit_job("t", job_id="a")
            worker = Worker(client, {"t": handle}, 2, **options)  # type: ignore[arg-type]
            await worker.start()
            await eventually(lambda: begun)
        async with local(storage) as second:
            info = await client.get_job("a")
            beaten = info.heartbeat
            while (await client.get_job("a")).heartbeat == beaten:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0)
            assert not begun[0].cancelled.is_set()
            finish.set()
            await eventually(lambda: done)
            stats = await client.get_stats()
            await worker.stop()

    assert len(begun) == 1
    assert begun[0].job.lease == done[0].lease
    assert (stats.completed_total, stats.broker_address) == (1, second.address)


async def test_worker_when_its_job_ends_between_two_brokers_then_reports_to_the_next(
    client: OsqueueClient, storage: str
) -> None:
    begun: list[object] = []
    finish = asyncio.Event()

    async def fail(_: object) -> None:
        begun.append(1)
        await finish.wait()
        raise ValueError("not this one")

    async def complete(_: object) -> None:
        begun.append(2)
        await finish.wait()

    handlers = {"bad": fail, "good": complete}
    async with asyncio.timeout(40):
        async with local(storage):
            await client.submit_jobs([NewJob("bad", max_attempts=2), ("good", None)])
            worker = Worker(client, handlers, 2, settings=BUSY)
            await worker.start()
            await eventually(lambda: len(begun) == 2)
        finish.set()
        await eventually(lambda: worker.running == 0)
        async with local(storage):
            while (await client.get_stats()).completed_total < 1:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0)
            await eventually(lambda: len(begun) == 3)  # the failed one, at its last attempt
            assert (await client.get_stats()).completed_total == 1
            await worker.stop()
