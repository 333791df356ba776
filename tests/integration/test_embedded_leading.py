"""A queue that a process leads without a port, beside brokers, other such processes and clients."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from osqueue.app import BrokerServer
from osqueue.brokerless import open_brokerless
from osqueue.client import OsqueueClient
from osqueue.config import BrokerSettings, ClientSettings, LeadershipSettings
from osqueue.embedded.leading import LedQueue, open_leading
from osqueue.errors import BrokerLeadershipError, ConfigError, DiscoveryError
from osqueue.wire.leaders import embedded_address

SETTINGS = BrokerSettings(
    leadership=LeadershipSettings(heartbeat_interval_ms=100, heartbeat_timeout_ms=400)
)
ONCE = ClientSettings(retry_for_ms=0)
OURS = embedded_address(socket.gethostname(), os.getpid())
CALLED = f"the embedded queue of process {os.getpid()} on {socket.gethostname()}"


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/queue"


def stored(url: str) -> Any:
    return json.loads((Path(url.removeprefix("file://")) / "queue.json").read_bytes())


async def led(stack: AsyncExitStack, url: str, **options: Any) -> LedQueue:
    return await stack.enter_async_context(open_leading(url, settings=SETTINGS, **options))


def broker(url: str) -> BrokerServer:
    return BrokerServer(url, host="127.0.0.1", port=0, settings=SETTINGS)


async def until_leader_is(standby: BrokerServer, leader: str) -> None:
    async with asyncio.timeout(20):
        while standby.status().leader != leader:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)


async def test_lead_when_the_queue_is_new_then_it_is_named_so_that_nobody_dials_it(
    stack: AsyncExitStack, url: str
) -> None:
    queue = await led(stack, url)
    await queue.client.submit_job("a")
    assert (stored(url)["broker"], stored(url)["heartbeatEvery"]) == (OURS, 100)
    assert (await queue.client.get_status()).role == "leader"
    assert queue.end is None


async def test_heartbeats_when_nobody_is_known_to_watch_then_they_do_not_slow_down(
    stack: AsyncExitStack, url: str
) -> None:
    young = LeadershipSettings(heartbeat_interval_ms=30, heartbeat_timeout_ms=90, young_timeouts=0)
    opening = open_leading(url, settings=BrokerSettings(leadership=young))
    queue = await stack.enter_async_context(opening)
    async with asyncio.timeout(20):
        while (await queue.client.get_status()).commits < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert stored(url)["heartbeatEvery"] == 30


async def test_broker_when_an_embedded_queue_leads_then_it_stands_by_and_names_it(
    stack: AsyncExitStack, url: str
) -> None:
    queue = await led(stack, url)
    standby = await stack.enter_async_context(broker(url))
    await until_leader_is(standby, OURS)
    async with OsqueueClient(standby.url, settings=ONCE) as client:
        with pytest.raises(BrokerLeadershipError, match=CALLED) as caught:
            await client.submit_job("a")
    assert (caught.value.leader, caught.value.applied) == (None, "no")
    async with aiohttp.ClientSession() as session:
        answer = await session.post(f"{standby.url}/v1/jobs", json={}, allow_redirects=False)
    assert answer.status == 503, "nobody is sent to where nobody is"
    assert (await queue.client.get_status()).role == "leader"


async def test_broker_when_an_embedded_queue_is_closed_then_it_sees_the_same_jobs_and_leases(
    stack: AsyncExitStack, url: str
) -> None:
    async with open_leading(url, settings=SETTINGS) as queue:
        await queue.client.submit_jobs([("a", n) for n in range(3)])
        dead = await queue.client.claim_job("w")
        assert dead is not None
        await queue.client.fail_job(dead, ValueError("no"), retry=False)
        held = await queue.client.claim_job("w")
    assert held is not None
    assert stored(url)["broker"] is None, "leadership is given back"
    next_one = await stack.enter_async_context(broker(url))
    assert next_one.status().role == "leader", "at once"
    async with OsqueueClient(next_one.url) as client:
        stats = await client.get_stats()
        assert (stats.unclaimed, stats.in_progress, stats.dead) == (1, 1, 1)
        await client.complete_job(held)
        assert (await client.get_job(dead.job_id)).status == "dead"


async def test_standby_when_an_embedded_queue_is_closed_then_it_takes_over(
    stack: AsyncExitStack, url: str
) -> None:
    async with open_leading(url, settings=SETTINGS):
        standby = await stack.enter_async_context(broker(url))
        await until_leader_is(standby, OURS)
    await until_leader_is(standby, standby.address)


async def test_lead_when_a_broker_leads_then_it_is_named(stack: AsyncExitStack, url: str) -> None:
    leader = await stack.enter_async_context(broker(url))
    with pytest.raises(BrokerLeadershipError, match=f"led by {leader.address}.*wait=True") as met:
        await led(stack, url)
    assert met.value.leader == leader.address


@pytest.mark.parametrize("way", ["leading", "brokerless"])
async def test_join_when_an_embedded_queue_of_this_very_process_leads_then_it_is_named(
    stack: AsyncExitStack, url: str, way: str
) -> None:
    await led(stack, url)
    opening: Any = (open_leading if way == "leading" else open_brokerless)(url, settings=SETTINGS)
    with pytest.raises(BrokerLeadershipError, match=CALLED) as met:
        await stack.enter_async_context(opening)
    assert met.value.leader == OURS


async def test_lead_when_asked_to_wait_then_it_leads_once_the_broker_has_stopped(
    stack: AsyncExitStack, url: str
) -> None:
    async with broker(url) as leader, OsqueueClient(leader.url) as client:
        await client.submit_job("a", job_id="before")
        opening = asyncio.ensure_future(led(stack, url, wait=True))
        async with asyncio.timeout(20):
            while not leader.status().standbys:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not opening.done()
    queue = await asyncio.wait_for(opening, 20)
    job = await queue.client.claim_job("w")
    assert job is not None
    assert job.job_id == "before"


def engines() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task.get_name() == "osqueue life"}


async def test_lead_when_the_wait_for_it_is_cancelled_then_nothing_is_left_behind(
    stack: AsyncExitStack, url: str
) -> None:
    async with broker(url) as leader:
        lives = engines()
        opening = asyncio.ensure_future(led(stack, url, wait=True))
        async with asyncio.timeout(20):
            while not leader.status().standbys:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert len(engines()) == len(lives) + 1
        opening.cancel()
        await asyncio.wait({opening})
        assert engines() == lives


async def test_client_when_it_looks_for_a_leader_and_finds_an_embedded_queue_then_it_is_told(
    stack: AsyncExitStack, url: str
) -> None:
    await led(stack, url)
    async with OsqueueClient(storage=url, settings=ONCE) as client:
        with pytest.raises(DiscoveryError, match=f"led by {CALLED}, which takes no requests"):
            await client.get_stats()


async def test_lead_when_the_settings_make_no_sense_then_nothing_is_begun(url: str) -> None:
    hasty = LeadershipSettings(heartbeat_interval_ms=500, heartbeat_timeout_ms=600)
    with pytest.raises(ConfigError, match="a third"):
        async with open_leading(url, settings=BrokerSettings(leadership=hasty)):
            pass
    assert not Path(url.removeprefix("file://")).exists()
