"""Handlers that submit jobs themselves, by the client of their worker."""

from __future__ import annotations

import asyncio

import pytest

from osqueue import Jobs, Worker
from osqueue.errors import ConfigError
from osqueue.testing import MemoryBroker


async def test_submit_in_a_handler_when_no_client_is_used_then_by_that_of_the_worker() -> None:
    jobs, seen = Jobs(), list[int]()

    @jobs.job("count")
    async def count(n: int) -> None:
        seen.append(n)
        if n:
            await count.submit(n - 1)

    with MemoryBroker() as broker:
        await broker.client.submit(count.new(3))
        await broker.run_until_empty(jobs)

    assert seen == [3, 2, 1, 0]
    with pytest.raises(ConfigError, match="no client to submit by"):
        await count.submit(1)


async def test_submit_in_a_handler_when_two_workers_run_then_each_by_its_own() -> None:
    jobs, passed_on = Jobs(), Jobs()

    @jobs.job("pass:on", concurrency=1)
    async def pass_on(n: int) -> None:
        await taken.submit(n)

    @passed_on.job("taken")
    async def taken(n: int) -> None: ...

    with MemoryBroker() as one, MemoryBroker() as other:
        async with Worker(one.client, jobs), Worker(other.client, jobs):
            handles = [
                await broker.client.submit(pass_on.new(number))
                for number, broker in enumerate((one, other))
            ]
            await asyncio.gather(*(handle.wait(timeout=10) for handle in handles))
        assert one.assert_submitted("taken").payload == 0
        assert other.assert_submitted("taken").payload == 1


async def test_submit_in_a_handler_when_a_client_is_used_then_by_that() -> None:
    jobs = Jobs()

    @jobs.job("pass:on")
    async def pass_on(n: int) -> None:
        await jobs_elsewhere.submit(n)

    @jobs.job("elsewhere")
    async def jobs_elsewhere(n: int) -> None: ...

    with MemoryBroker() as broker, MemoryBroker() as elsewhere, jobs.using(elsewhere.client):
        await broker.client.submit(pass_on.new(1))
        await broker.run_until_empty(jobs)
        assert elsewhere.assert_submitted("elsewhere").payload == 1
