"""A worker of a real broker, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.integration.kinds import client_of

from osqueue.app import BrokerServer
from osqueue.client import JobInfo, OsqueueClient, RetryPolicy
from osqueue.config import BrokerSettings, QueueLimits, WorkerSettings

AT_ONCE = RetryPolicy(base_ms=0, max_ms=0)

BRISK = WorkerSettings(
    wait_ms=1_000,
    heartbeat_interval_ms=20,
    progress_ms=1,
    callback_ms=20,
    grace_ms=5_000,
    settle_ms=200,
    poll_ms=1,
)
"""Time-outs that a test can wait for."""


@pytest.fixture
async def queue_broker() -> AsyncIterator[BrokerServer]:
    """Failed jobs are tried again at once."""
    settings = BrokerSettings(limits=QueueLimits(retry=AT_ONCE))
    async with BrokerServer("memory://", host="127.0.0.1", port=0, settings=settings) as broker:
        yield broker


@pytest.fixture
async def client(queue_broker: BrokerServer) -> AsyncIterator[OsqueueClient]:
    async with client_of("direct", queue_broker) as client:
        yield client


async def ended(client: OsqueueClient, job_id: str) -> JobInfo:
    """A job, once it is over or dead."""
    while True:
        info = await client.get_job(job_id, wait_ms=20_000)
        if info.ended_at is not None or info.status == "dead":
            return info
        await asyncio.sleep(0)
