"""How a worker claims beside the limits of its types."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.unit.worker.conftest import NaiveQueue, eventually

from osqueue.client import OsqueueClient
from osqueue.jobs import HandlerSpec
from osqueue.worker import Worker


async def test_claim_when_one_was_given_up_then_it_goes_by_the_same_id_until_it_is_answered(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    done = asyncio.Event()

    async def limited(_: Any) -> None:
        await done.wait()

    async def unlimited(_: Any) -> None:
        pass

    queue.push(job_type="a")
    handlers: dict[str, Any] = {
        "a": HandlerSpec(function=limited, concurrency=1),
        "b": unlimited,
    }
    async with Worker(client, handlers, concurrency=2):
        await eventually(lambda: len(queue.asked("claimJobs")) == 2)
        done.set()
        await eventually(lambda: queue.abandoned_claims == 1)
        await eventually(lambda: len(queue.asked("claimJobs")) == 3)
        queue.push(job_type="b")
        await eventually(lambda: len(queue.asked("claimJobs")) == 4)

    first, given_up, again, last = queue.asked("claimJobs")
    assert (given_up.max_by_type, again.max_by_type) == ({"a": 0}, {"a": 1})
    assert given_up.claim_id == again.claim_id
    assert len({first.claim_id, again.claim_id, last.claim_id}) == 3
