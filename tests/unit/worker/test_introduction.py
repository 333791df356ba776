"""How a worker tells of itself along with its claims and heartbeats."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import pytest
from tests.unit.worker.conftest import ManualTime, NaiveQueue, eventually, settled

import osqueue
from osqueue.client import OsqueueClient, WorkerInfo
from osqueue.config import WORKER_TELL_MS, WORKER_TYPES_MAX
from osqueue.errors import TransportConnectionError
from osqueue.worker import Worker
from osqueue.worker.introduction import Introduction

INFO = WorkerInfo(concurrency=2)


class Told:
    """Requests of a worker, as one epoch or another answers them."""

    def __init__(self, client: OsqueueClient, queue: NaiveQueue) -> None:
        self._queue = queue
        self._client = client
        self._introduction = Introduction(client, INFO)

    async def by(self, epoch: int | None, *, fails: bool = False) -> WorkerInfo | None:
        """What the next request tells, which is answered in this epoch."""
        told: list[WorkerInfo | None] = []

        async def send(info: WorkerInfo | None) -> None:
            told.append(info)
            if fails:
                raise TransportConnectionError("lost")
            self._queue.epoch = epoch
            await self._client.heartbeat_jobs("w", [])

        try:
            await self._introduction.with_it(send)
        except TransportConnectionError:
            assert fails
        return told[0]


@pytest.fixture
def told(client: OsqueueClient, queue: NaiveQueue) -> Told:
    return Told(client, queue)


async def test_worker_when_it_claims_then_it_tells_of_itself_once(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    async def handle(_: Any) -> None: ...

    handlers = {f"type-{at}": handle for at in range(WORKER_TYPES_MAX + 1)}
    queue.push(job_type="type-3")
    async with Worker(client, handlers, concurrency=7):
        await eventually(lambda: len(queue.asked("claimJobs")) == 2)
    first, second, *_ = queue.asked("claimJobs")
    assert first.worker == WorkerInfo(
        concurrency=7,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=osqueue.__version__,
        types=list(handlers)[:WORKER_TYPES_MAX],
    )
    assert second.worker is None


async def test_worker_when_it_is_busy_for_long_then_heartbeats_tell_of_it(
    client: OsqueueClient, queue: NaiveQueue, time: ManualTime
) -> None:
    async def hang(_: Any) -> None:
        await time.sleep(3_600)

    queue.push()
    async with Worker(client, {"t": hang}) as worker:
        await eventually(lambda: worker.running == 1)
        for _ in range(WORKER_TELL_MS // 5_000):
            await time.pass_ms(5_000)
        await settled()
        told = [each.worker for each in queue.asked("heartbeatJobs")]
        assert [info is not None for info in told] == [False] * 5 + [True]
        await worker.stop_at_once()


async def test_info_when_it_was_told_then_again_after_a_while(told: Told, time: ManualTime) -> None:
    assert await told.by(None) == INFO
    time.now_ms += WORKER_TELL_MS - 1
    assert await told.by(None) is None
    time.now_ms += 1
    assert await told.by(None) == INFO
    assert await told.by(None) is None


async def test_info_when_its_request_may_be_lost_then_told_with_the_next(told: Told) -> None:
    assert await told.by(1, fails=True) == INFO
    assert await told.by(1) == INFO
    assert await told.by(1) is None


async def test_info_when_another_leader_answers_then_told_to_that_one(told: Told) -> None:
    assert await told.by(1) == INFO
    assert await told.by(2) is None
    assert await told.by(2) == INFO
    assert await told.by(2) is None


async def test_info_when_another_leader_answers_what_tells_it_then_not_told_again(
    told: Told, time: ManualTime
) -> None:
    await told.by(1)
    time.now_ms += WORKER_TELL_MS
    assert await told.by(2) == INFO
    assert await told.by(2) is None


async def test_info_when_its_claim_is_given_up_then_not_told_with_each_that_follows(
    client: OsqueueClient,
) -> None:
    introduction = Introduction(client, INFO)
    told: list[WorkerInfo | None] = []

    async def waits(info: WorkerInfo | None) -> None:
        told.append(info)
        await asyncio.get_running_loop().create_future()

    for _ in range(2):
        claim = asyncio.create_task(introduction.with_it(waits))
        await settled()
        claim.cancel()
        await asyncio.wait({claim})
    assert told == [INFO, None]
