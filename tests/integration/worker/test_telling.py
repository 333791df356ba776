"""What real brokers come to know of a worker: who it is, and what payloads its job types have."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.integration.kinds import KINDS, client_of
from tests.integration.rest import eventually
from tests.integration.worker.conftest import BRISK

import osqueue
from osqueue.app import BrokerServer
from osqueue.brokerless import open_brokerless
from osqueue.client import OsqueueClient, WorkerInfo
from osqueue.embedded.leading import open_leading
from osqueue.errors import BrokerProtocolError, TransportConfigError
from osqueue.jobs import Jobs
from osqueue.worker import Worker


class Mail(msgspec.Struct):
    to: str


jobs = Jobs()
TYPES = {"email:send": msgspec.json.schema(Mail)}


@jobs.job("email:send")
async def send(_: Mail) -> None: ...


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"file://{tmp_path}/q"


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is so."""
    async with asyncio.timeout(20):
        while not await true():  # noqa: ASYNC110 - a broker is asked, who tells nobody
            await asyncio.sleep(0.005)


async def knows(broker: BrokerServer, worker: Worker, client: OsqueueClient) -> WorkerInfo:
    """What a broker knows of a worker, once it knows that and its types."""

    def info() -> WorkerInfo | None:
        return {each.id: each.info for each in broker.workers()}.get(worker.worker_id)

    async def both() -> bool:
        return info() is not None and await client.get_types() == TYPES

    await until(both)
    found = info()
    assert found is not None
    return found


def served(storage: str = "memory://") -> BrokerServer:
    return BrokerServer(storage, host="127.0.0.1", port=0, grpc_port=None)


@pytest.mark.parametrize("kind", KINDS)
async def test_worker_when_it_has_begun_then_its_broker_knows_it_and_its_types(kind: str) -> None:
    async with (
        served() as broker,
        client_of(kind, broker) as client,
        Worker(client, jobs, concurrency=3) as worker,
    ):
        info = await knows(broker, worker, client)
    assert (info.concurrency, info.pid, info.types) == (3, os.getpid(), ["email:send"])
    assert info.version == osqueue.__version__


async def test_worker_when_another_broker_leads_then_that_one_is_told_as_well(
    storage: str,
) -> None:
    async with (
        served(storage) as first,
        served(storage) as second,
        OsqueueClient([first.url, second.url]) as client,
        Worker(client, jobs, settings=BRISK) as worker,
    ):
        await knows(first, worker, client)
        assert second.workers() == []
        await eventually(lambda: first.status().standbys)
        await client.fail_over()
        info = await knows(second, worker, client)
    assert info.pid == os.getpid()


@pytest.mark.parametrize("kind", KINDS)
async def test_types_when_there_are_as_many_as_are_kept_then_they_come_through(kind: str) -> None:
    schemas = {f"type-{at}": {"type": "object", "title": "x" * 480} for at in range(1_000)}
    async with served() as broker, client_of(kind, broker) as client:
        await client.announce_types(schemas)
        assert await client.get_types() == schemas


async def test_types_when_another_broker_leads_then_it_has_its_own_and_no_older_ones(
    storage: str,
) -> None:
    async with served(storage) as broker, OsqueueClient(broker.url, registry=jobs) as client:
        await client.announce_types()
        assert await client.get_types() == TYPES
    async with served(storage) as broker, OsqueueClient(broker.url) as client:
        assert await client.get_types(consistent=True) == {}


async def test_standby_when_types_are_announced_to_it_then_the_leader_is_told(
    storage: str,
) -> None:
    async with served(storage) as leader, served(storage) as standby:
        async with OsqueueClient(standby.url, registry=jobs) as client:
            settings = {each.name: each.value for each in await client.get_settings()}
            await client.announce_types()
        async with OsqueueClient(leader.url) as client:
            assert await client.get_types() == TYPES
    assert bytes(settings["server.port"]) == standby.address.rpartition(":")[2].encode()


async def test_worker_when_it_leads_its_queue_itself_then_it_knows_its_own_types() -> None:
    async with open_leading("memory://") as queue, Worker(queue.client, jobs):

        async def told() -> bool:
            return await queue.client.get_types() == TYPES

        await until(told)
        with pytest.raises(BrokerProtocolError, match="no broker serves this queue"):
            await queue.client.get_settings()


async def test_worker_when_there_is_no_broker_then_it_works_and_tells_nobody(
    storage: str, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[Any] = []
    async with open_brokerless(storage) as queue:
        async with Worker(queue.client, {"t": done.append}, settings=BRISK):
            await queue.client.submit_job("t", 1)
            await eventually(lambda: done)
        with pytest.raises(TransportConfigError, match="announceTypes"):
            await queue.client.announce_types({"t": None})
    assert done == [1]
    assert not [record for record in caplog.records if record.name == "osqueue.worker"]
