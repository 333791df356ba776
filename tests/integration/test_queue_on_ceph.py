"""A whole queue on a real distributed store, over a network that loses and delays what it carries.

Every job that was acknowledged stands in the archive exactly once, ended once, whatever became of
single requests on their way.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from tests.integration.servers.ceph import Ceph

from osqueue import OsqueueClient
from osqueue.app import BrokerServer
from osqueue.config import ArchiveSettings, BrokerSettings
from osqueue.model.batches import ARCHIVE_PREFIX
from osqueue.storage import Store, open_store
from osqueue.testing import FaultProxy, HttpFault, HttpStep, RandomHttpFaults

pytestmark = pytest.mark.external

JOBS = 2_000
CLIENTS = 16
LARGE_EVERY = 20
LARGE_CHARS = 70_000
TIMEOUT_S = 1.0
"""The store client's: it has given up when a late write is sent on its way."""

LIKELY = {HttpFault.LOST_REPLY: 0.05}
LATE = {HttpFault.LATE_WRITE: 0.02}
SETTINGS = BrokerSettings(archive=ArchiveSettings(linger_ms=500))


class Network:
    """Loses 5 % of all replies, and delivers 2 % of the writes when nobody waits any more."""

    def __init__(self, seed: int) -> None:
        self._replies = RandomHttpFaults(seed, LIKELY)
        late = HttpStep(method="PUT", delay_s=2 * TIMEOUT_S)
        self._writes = RandomHttpFaults(seed, LATE, like=late)

    def step(self, request: Any) -> HttpStep:
        step = self._writes.step(request)
        return step if step.fault is HttpFault.LATE_WRITE else self._replies.step(request)


@pytest.fixture
async def proxy(ceph: Ceph) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(f"http://127.0.0.1:{ceph.gateway_ports[0]}") as proxy:
        yield proxy


@pytest.fixture
async def places(ceph: Ceph, proxy: FaultProxy) -> AsyncIterator[tuple[Store, Store]]:
    """One bucket, seen through the proxy and directly."""
    url = ceph.new_store()
    direct = f"http://127.0.0.1:{ceph.gateway_ports[0]}"
    assert direct in url
    by_proxy = url.replace(direct, proxy.url)
    stores = open_store(f"{by_proxy}&timeout={TIMEOUT_S}"), open_store(url)
    yield stores
    for store in stores:
        await store.close()


async def archived(store: Store) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    async for key in store.list(ARCHIVE_PREFIX):
        found = await store.get(key)
        assert found is not None
        entries += map(json.loads, found.data.splitlines())
    return entries


async def submit(client: OsqueueClient, numbers: Iterable[int]) -> list[str]:
    return [await client.submit_job("count", payload(number)) for number in numbers]


def payload(number: int) -> dict[str, object]:
    """Some are so large that they are objects of their own."""
    return {"n": number, "text": str(number) * (LARGE_CHARS if number % LARGE_EVERY == 0 else 1)}


async def work(client: OsqueueClient, worker: str, done: Counter[int]) -> None:
    """Complete jobs until all are done."""
    while done.total() < JOBS:
        for job in await client.claim_jobs(worker, max_jobs=4, wait_ms=500):
            assert job.payload == payload(job.payload["n"])
            await client.complete_job(job)
            done[job.payload["n"]] += 1


async def emptied(broker: BrokerServer, store: Store) -> None:
    """Return when all that ended is in the archive."""
    while True:
        found = await store.get("queue.json")
        assert found is not None
        state = json.loads(found.data)
        if not (state["jobs"] or state["finished"] or state.get("outbox")):
            return
        assert broker.end is None
        await asyncio.sleep(0.1)


async def test_jobs_when_replies_are_lost_and_writes_late_then_each_is_done_and_archived_once(
    places: tuple[Store, Store], proxy: FaultProxy
) -> None:
    by_proxy, direct = places
    done: Counter[int] = Counter()
    async with BrokerServer(by_proxy, host="127.0.0.1", port=0, settings=SETTINGS) as broker:
        proxy.faults = Network(seed=1)
        async with OsqueueClient(broker.url) as client:
            submits = [submit(client, range(number, JOBS, CLIENTS)) for number in range(CLIENTS)]
            workers = [work(client, f"w{number}", done) for number in range(CLIENTS)]
            results = await asyncio.gather(*submits, *workers)
        proxy.faults = RandomHttpFaults(0, {})
        await proxy.settled()
        await emptied(broker, direct)
    submitted = [job_id for ids in results[:CLIENTS] for job_id in ids or ()]
    entries = await archived(direct)
    assert len(set(submitted)) == len(submitted) == JOBS
    assert done == Counter(range(JOBS))
    assert sorted(entry["id"] for entry in entries) == sorted(submitted)
    assert {entry["status"] for entry in entries} == {"completed"}
    left = [key async for key in direct.list("payloads/")]
    assert len(left) <= proxy.counts[HttpFault.LATE_WRITE] + proxy.counts[HttpFault.LOST_REPLY]
    assert proxy.counts[HttpFault.LOST_REPLY] >= 5
    assert proxy.counts[HttpFault.LATE_WRITE] >= 2
