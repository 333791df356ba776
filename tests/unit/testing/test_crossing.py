"""Calls from one event loop to a service in another."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing, suppress
from typing import Any

import pytest
from tests.unit.testing.conftest import eventually

from osqueue.app import BrokerServer
from osqueue.client.credentials import Credentials
from osqueue.client.transports import QueueTransportAdapter
from osqueue.client.transports.kinds import dialler_of
from osqueue.client.transports.protocol import streaming
from osqueue.config import ClientSettings
from osqueue.errors import OsqueueError, TransportConfigError
from osqueue.testing import (
    JobContract,
    LookContract,
    MemoryBroker,
    QueueContract,
    ScheduleContract,
    StreamContract,
    TransportContract,
    WorkflowContract,
)
from osqueue.testing.crossing import CrossingTransport, Gate


class Crossing:
    """Makes transports that cross, if only to where they are."""

    def make_transport(
        self, broker: BrokerServer, settings: ClientSettings
    ) -> QueueTransportAdapter:
        direct = dialler_of({"kind": "direct", "brokers": broker}, settings, Credentials())
        return CrossingTransport(
            streaming(direct.dial(broker.url)), Gate(asyncio.get_running_loop())
        )


class TestTransport(Crossing, TransportContract):
    """Calls."""


class TestLooks(Crossing, LookContract):
    """Listings, and actions on many jobs."""


class TestJobs(Crossing, JobContract):
    """Jobs that are retried, bring results and are waited for."""


class TestQueue(Crossing, QueueContract):
    """A queue that is paused, and jobs whose order is changed."""


class TestSchedules(Crossing, ScheduleContract):
    """Jobs that are submitted again and again."""


class TestWorkflows(Crossing, WorkflowContract):
    """Jobs that wait for other jobs."""


class TestStreams(Crossing, StreamContract):
    """Streams."""


async def test_claim_when_its_caller_goes_away_as_it_is_answered_then_the_job_is_given_back() -> (
    None
):
    """Whichever of them comes first, in many tries: no job stays with nobody."""
    with MemoryBroker() as broker:
        client = broker.client
        for tries in range(100):
            claim = asyncio.ensure_future(client.claim_job("me", wait_ms=10_000))
            await client.get_stats()
            await client.submit_job("t")
            for _ in range(tries % 5):
                await asyncio.sleep(0)
            claim.cancel()
            await asyncio.wait({claim})
            if not claim.cancelled():
                job = claim.result()
                assert job is not None
                await client.complete_job(job)

        async with asyncio.timeout(10):
            while (await client.get_stats()).in_progress:  # noqa: ASYNC110 - released in its own time
                await asyncio.sleep(0)


def test_claim_when_the_loop_of_its_caller_is_closed_then_the_job_is_given_back() -> None:
    with MemoryBroker() as broker:

        async def leave() -> None:
            claim = asyncio.ensure_future(broker.client.claim_job("me", wait_ms=10_000))
            await broker.client.get_stats()
            claim.cancel()

        asyncio.run(leave())
        broker.sync_client.submit_job("t")
        assert broker.sync_client.claim_job("other") is not None


async def test_stream_when_closed_midway_then_the_service_hears_of_it() -> None:
    with MemoryBroker() as broker:
        await broker.client.submit_job("t")
        async with aclosing(broker.client.stream_jobs("me", credit=2)) as jobs:
            job = await anext(jobs)
        await broker.client.complete_job(job)
        assert (await broker.client.get_stats()).total == 0


async def test_call_when_the_transport_is_closed_then_says_so() -> None:
    with MemoryBroker() as broker:
        client = broker.new_client()
        await client.close()
        with pytest.raises(TransportConfigError, match="this client is closed"):
            await client.get_stats()
        await broker.client.get_stats()


async def test_calls_when_of_many_loops_at_once_then_each_has_its_own_answer() -> None:
    def submit(broker: MemoryBroker, number: int) -> list[str]:
        async def some() -> list[Any]:
            calls = (broker.client.submit_job("t", n, job_id=f"{number}-{n}") for n in range(50))
            return await asyncio.gather(*calls)

        return asyncio.run(some())

    with MemoryBroker() as broker:
        submits = [asyncio.to_thread(submit, broker, number) for number in range(4)]
        answers = await asyncio.gather(*submits)
        assert answers == [[f"{number}-{n}" for n in range(50)] for number in range(4)]
        await eventually(lambda: len(broker.submitted()) == 200)


async def test_calls_when_the_broker_ends_meanwhile_then_each_ends() -> None:
    broker = MemoryBroker()
    broker.start()
    claims = [
        asyncio.ensure_future(broker.client.claim_job(f"me-{n}", wait_ms=60_000)) for n in range(20)
    ]
    jobs = broker.client.stream_jobs("me", credit=1)
    streamed = asyncio.ensure_future(anext(jobs))
    await broker.client.get_stats()

    await asyncio.to_thread(broker.stop)

    ended, _ = await asyncio.wait({*claims, streamed}, timeout=10)
    assert len(ended) == 21
    assert all(isinstance(each.exception(), OsqueueError) for each in ended)
    await jobs.aclose()


def test_claims_when_the_broker_ends_at_any_moment_then_each_ends() -> None:
    """Callers of another thread, that begin new calls until they are refused."""
    for _ in range(20):
        broker = MemoryBroker()
        broker.start()

        async def ask_on(broker: MemoryBroker = broker) -> None:
            client = broker.client.with_settings(ClientSettings(retry_for_ms=0))
            with suppress(OsqueueError):
                while True:
                    await client.get_stats()

        asking = threading.Thread(target=asyncio.run, args=(ask_on(),))
        asking.start()
        broker.sync_client.get_stats()
        broker.stop()
        asking.join(10)
        assert not asking.is_alive()
