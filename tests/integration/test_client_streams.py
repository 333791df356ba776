"""A client's stream of jobs over every transport that brings one: none is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.integration.kinds import KINDS, client_of

from osqueue.app import BrokerServer
from osqueue.client import Job, JobInfo, OsqueueClient, Runtime
from osqueue.config import BrokerSettings, LeadershipSettings
from osqueue.errors import BrokerLeadershipError, EngineStateError, TransportConnectionError
from osqueue.storage import MemoryBackend

ENDS = (BrokerLeadershipError, EngineStateError, TransportConnectionError)
QUICK = BrokerSettings(
    leadership=LeadershipSettings(heartbeat_interval_ms=100, heartbeat_timeout_ms=400)
)

pytestmark = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rest"])


async def hasty(seconds: float) -> None:
    """Pauses are short here: what is done now and then is done often."""
    await asyncio.sleep(min(seconds, 0.02))


def local(store: MemoryBackend) -> BrokerServer:
    return BrokerServer(store, host="127.0.0.1", port=0, grpc_port=None, settings=QUICK)


@asynccontextmanager
async def streaming(
    kind: str, *brokers: BrokerServer, credit: int
) -> AsyncIterator[tuple[OsqueueClient, AsyncGenerator[Job, None]]]:
    async with (
        asyncio.timeout(30),
        client_of(kind, *brokers, runtime=Runtime(sleep=hasty)) as client,
    ):
        jobs = client.stream_jobs("w", credit=credit)
        try:
            yield client, jobs
        finally:
            await jobs.aclose()


@asynccontextmanager
async def alone(
    kind: str, *, credit: int
) -> AsyncIterator[tuple[BrokerServer, OsqueueClient, AsyncGenerator[Job, None]]]:
    async with (
        local(MemoryBackend()) as broker,
        streaming(kind, broker, credit=credit) as (client, jobs),
    ):
        yield broker, client, jobs


async def looked_at(client: OsqueueClient, job_id: str, what: Any) -> JobInfo:
    """The job, once ``what(job)``."""
    while not what(job := await client.get_job(job_id)):
        await hasty(1)
    return job


async def come(client: OsqueueClient, *job_ids: str) -> None:
    """Until these jobs are with the client: it keeps them by heartbeats."""
    for job_id in job_ids:
        job = await looked_at(client, job_id, lambda job: job.status == "in_progress")
        granted = job.heartbeat
        await looked_at(client, job_id, lambda job, granted=granted: job.heartbeat > granted)


async def test_stream_when_closed_then_what_came_was_kept_and_is_given_back(kind: str) -> None:
    async with (
        local(MemoryBackend()) as broker,
        streaming(kind, broker, credit=3) as (client, jobs),
    ):
        await client.submit_job("t", job_id="a")
        assert (await anext(jobs)).job_id == "a"
        for job_id in "bc":
            await client.submit_job("t", job_id=job_id)
        await come(client, "b", "c")
        await jobs.aclose()
        found = [await client.get_job(job_id) for job_id in "abc"]
        assert [(job.status, job.attempts) for job in found] == [
            ("in_progress", 1),
            ("unclaimed", 0),
            ("unclaimed", 0),
        ]


async def test_stream_when_a_job_that_came_is_lost_then_it_is_not_taken_and_its_place_is_free(
    kind: str,
) -> None:
    async with (
        local(MemoryBackend()) as broker,
        streaming(kind, broker, credit=2) as (client, jobs),
    ):
        await client.submit_job("t", job_id="a")
        assert (await anext(jobs)).job_id == "a"
        for job_id in "bc":
            await client.submit_job("t", job_id=job_id)
        await come(client, "b")
        await client.cancel_job("b")
        await come(client, "c")
        assert (await anext(jobs)).job_id == "c"
        await client.submit_job("t", job_id="d")
        assert (await anext(jobs)).job_id == "d"


async def test_stream_when_the_leader_changes_then_it_ends_by_an_error_that_says_so(
    kind: str,
) -> None:
    store = MemoryBackend()
    async with (
        local(store) as leader,
        local(store) as other,
        streaming(kind, leader, other, credit=1) as (client, jobs),
    ):
        await client.submit_job("t", job_id="a")
        await anext(jobs)
        await leader.stop()
        await client.submit_job("t", job_id="b")
        with pytest.raises(ENDS):
            await anext(jobs)
        begun_anew = client.stream_jobs("w", credit=1)
        assert (await anext(begun_anew)).job_id == "b"
        await begun_anew.aclose()


async def test_stream_when_closed_after_its_broker_has_gone_then_nobody_waits_for_it(
    kind: str,
) -> None:
    async with (
        local(MemoryBackend()) as broker,
        streaming(kind, broker, credit=9) as (client, jobs),
    ):
        await client.submit_jobs([("t", number) for number in range(9)])
        await anext(jobs)
        await broker.stop()
        async with asyncio.timeout(10):
            await jobs.aclose()
