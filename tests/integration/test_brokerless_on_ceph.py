"""Several writers without a broker on a real distributed store, through both of its gateways."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from tests.integration.servers.ceph import Ceph

from osqueue.brokerless import BrokerlessQueue, open_brokerless
from osqueue.config import ClientSettings
from osqueue.worker import JobContext, Worker

pytestmark = pytest.mark.external

WRITERS = 4
JOBS_EACH = 25


async def test_writers_when_at_work_at_once_then_each_job_is_done_exactly_once(ceph: Ceph) -> None:
    """Losers of a race are told 412 here, or 500: of unknown fate until the object is read."""
    urls = ceph.new_stores()
    runs: Counter[str] = Counter()

    async def count(_payload: object, job: JobContext) -> None:
        runs[job.job_id] += 1

    async with AsyncExitStack() as stack:
        queues: list[BrokerlessQueue] = []
        for number in range(WRITERS):
            opened = open_brokerless(
                urls[number % len(urls)], client_settings=ClientSettings(timeout_ms=30_000)
            )
            queues.append(await stack.enter_async_context(opened))
        workers = [
            await stack.enter_async_context(Worker(queue.client, {"count": count}, 4))
            for queue in queues
        ]
        submitted = await asyncio.gather(*[submit_all(queue) for queue in queues])
        job_ids = [job_id for each in submitted for job_id in each]
        stats = await queues[0].client.get_stats()
        while stats.completed_total < len(job_ids):
            await asyncio.sleep(0.2)
            stats = await queues[0].client.get_stats()
        assert all(worker.running == 0 for worker in workers)
    assert stats.completed_total == len(job_ids) == WRITERS * JOBS_EACH
    assert runs == Counter(job_ids)


async def submit_all(queue: BrokerlessQueue) -> list[str]:
    return [await queue.client.submit_job("count", number) for number in range(JOBS_EACH)]
