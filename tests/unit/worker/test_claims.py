"""How a worker claims beside the limits of its types."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.unit.worker.conftest import NaiveQueue, eventually

from osqueue.client import OsqueueClient
from osqueue.config import WorkerSettings
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

    first, given_up, again, last, unseen = queue.asked("claimJobs")
    assert (unseen.claim_id, unseen.max_by_type) == (last.claim_id, {"a": 0, "b": 0})
    assert (given_up.max_by_type, again.max_by_type) == ({"a": 0}, {"a": 1})
    assert given_up.claim_id == again.claim_id
    assert len({first.claim_id, again.claim_id, last.claim_id}) == 3


async def test_stop_when_a_claim_was_answered_and_nobody_saw_it_then_its_jobs_are_given_back(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    async with Worker(client, {"t": never}, concurrency=2):
        await eventually(lambda: queue.asked("claimJobs"))
        pushed = [queue.push(), queue.push()]
        queue.ready, queue.gives_to_gone = [], queue.ready

    assert sorted(queue.released) == pushed
    assert queue.leased == {}
    waiting, again = queue.asked("claimJobs")
    assert (again.claim_id, again.max_by_type) == (waiting.claim_id, {"t": 0})


async def test_stop_when_nobody_answers_what_the_last_claim_has_brought_then_it_ends_all_the_same(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    settings = WorkerSettings(hurry_ms=1)
    async with Worker(client, {"t": never}, settings=settings):
        await eventually(lambda: queue.asked("claimJobs"))
        queue.gates["claimJobs"] = asyncio.Event()

    assert len(queue.asked("claimJobs")) == 2
    assert queue.released == []


async def never(_: Any) -> None:
    raise AssertionError("nothing is to run")
