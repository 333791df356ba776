"""How a worker starts and stops."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from tests.unit.worker.conftest import NaiveQueue, eventually

from osqueue.client import OsqueueClient
from osqueue.config import WorkerSettings
from osqueue.errors import AuthError, EngineStateError, TransportConnectionError
from osqueue.wire.messages import ClaimedJob
from osqueue.worker import JobContext, Worker

AT_ONCE = WorkerSettings(grace_ms=0, settle_ms=1_000)
PATIENT = WorkerSettings(grace_ms=60_000)


class Switch:
    """A handler that runs until it is switched off, or cancelled."""

    def __init__(self) -> None:
        self.running = asyncio.Event()
        self.off = asyncio.Event()
        self.cancelled = 0

    async def __call__(self, _: Any) -> None:
        self.running.set()
        try:
            await self.off.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def _ignore(_: Any) -> None:
    pass


async def test_stop_lets_a_running_job_finish_and_completes_it(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    switch = Switch()
    job_id = queue.push()
    worker = Worker(client, {"t": switch}, settings=PATIENT)
    await worker.start()
    await switch.running.wait()

    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    switch.off.set()
    await stopping

    assert (queue.completed, queue.released, switch.cancelled) == ([job_id], [], 0)


async def test_stop_claims_nothing_more(client: OsqueueClient, queue: NaiveQueue) -> None:
    switch = Switch()
    queue.push()
    worker = Worker(client, {"t": switch}, concurrency=2, settings=PATIENT)
    await worker.start()
    await switch.running.wait()
    await eventually(lambda: len(queue.asked("claimJobs")) == 2)

    stopping = asyncio.create_task(worker.stop())
    await eventually(lambda: queue.abandoned_claims == 1)
    queue.push()
    switch.off.set()
    await stopping

    assert [claim.max_by_type for claim in queue.asked("claimJobs")] == [None, None, {"t": 0}]
    assert len(queue.ready) == 1


async def test_stop_after_its_grace_cancels_the_handler_and_releases_the_job(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    switch = Switch()
    job_id = queue.push()
    worker = Worker(client, {"t": switch}, settings=AT_ONCE)
    await worker.start()
    await switch.running.wait()

    await worker.stop()

    assert switch.cancelled == 1
    assert (queue.completed, queue.failed, queue.released) == ([], [], [job_id])


async def test_stop_right_after_a_claim_releases_the_job_before_it_began(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    switch = Switch()
    job_id = queue.push()
    worker = Worker(client, {"t": switch}, settings=AT_ONCE)
    await worker.start()
    await eventually(lambda: worker.running)

    await worker.stop()

    assert queue.released == [job_id]


async def test_stop_after_its_grace_never_completes_a_handler_that_hides_its_cancellation(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    running = asyncio.Event()

    async def tidy(_: Any) -> None:
        running.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            return

    job_id = queue.push()
    async with Worker(client, {"t": tidy}, settings=AT_ONCE):
        await running.wait()

    assert (queue.completed, queue.released) == ([], [job_id])


async def test_stop_after_its_grace_tells_threads_and_releases_their_jobs(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    started, seen = threading.Event(), list[bool]()

    def handle(_: Any, ctx: JobContext) -> None:
        started.set()
        seen.append(ctx.cancelled.wait(5))

    job_id = queue.push()
    async with Worker(client, {"t": handle}, settings=AT_ONCE):
        await eventually(started.is_set)

    assert seen == [True]
    assert (queue.completed, queue.released) == ([], [job_id])


async def test_stop_does_not_wait_for_handlers_that_do_not_end_and_releases_their_jobs(
    client: OsqueueClient, queue: NaiveQueue, caplog: pytest.LogCaptureFixture
) -> None:
    started, let_go = threading.Event(), threading.Event()
    stubborn, off = asyncio.Event(), asyncio.Event()

    def in_thread(_: Any) -> None:
        started.set()
        let_go.wait(30)

    async def on_loop(_: Any) -> None:
        stubborn.set()
        while not off.is_set():
            try:
                await off.wait()
            except asyncio.CancelledError:
                continue

    ids = {queue.push(job_type="thread"), queue.push(job_type="loop")}
    worker = Worker(
        client,
        {"thread": in_thread, "loop": on_loop},
        concurrency=2,
        settings=WorkerSettings(grace_ms=0, settle_ms=20),
    )
    await worker.start()
    await stubborn.wait()
    await eventually(started.is_set)

    await worker.stop()

    assert set(queue.released) == ids
    assert "2 handlers do not end" in caplog.text
    let_go.set()
    off.set()
    await eventually(lambda: worker.running == 0)
    assert queue.completed == []


async def test_stop_waits_for_the_last_completions(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    answers = queue.gates["completeJobs"] = asyncio.Event()
    job_id = queue.push()
    worker = Worker(client, {"t": _ignore}, settings=PATIENT)
    await worker.start()
    await eventually(lambda: queue.asked("completeJobs"))

    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    answers.set()
    await stopping

    assert queue.completed == [job_id]


async def test_stop_while_the_broker_is_away_ends_and_says_what_is_lost(
    client: OsqueueClient, queue: NaiveQueue, caplog: pytest.LogCaptureFixture
) -> None:
    switch = Switch()
    queue.push(job_type="done")
    queue.push(job_type="running")
    gone = [TransportConnectionError("refused")] * 10_000
    queue.faults = {"completeJobs": [*gone], "releaseJob": [*gone], "heartbeatJobs": [*gone]}
    worker = Worker(
        client,
        {"done": _ignore, "running": switch},
        concurrency=2,
        settings=WorkerSettings(grace_ms=0, settle_ms=20),
    )
    await worker.start()
    await switch.running.wait()
    await eventually(lambda: queue.asked("completeJobs"))

    await worker.stop()

    assert "2 reports did not reach the broker" in caplog.text


async def test_stop_when_a_release_is_refused_ends_all_the_same(
    client: OsqueueClient, queue: NaiveQueue, caplog: pytest.LogCaptureFixture
) -> None:
    switch = Switch()
    queue.push()
    queue.faults["releaseJob"] = [AuthError("who are you")]

    async with Worker(client, {"t": switch}, settings=AT_ONCE):
        await switch.running.wait()

    assert "not released: who are you" in caplog.text


async def test_stop_gives_up_a_waiting_claim(client: OsqueueClient, queue: NaiveQueue) -> None:
    async with Worker(client, {"t": _ignore}, settings=PATIENT):
        await eventually(lambda: queue.asked("claimJobs"))

    assert queue.abandoned_claims == 1
    assert queue.released == []


async def test_stop_releases_what_an_abandoned_claim_still_brings(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    queue.ends_cancelled_claims_with = [
        ClaimedJob(job_id="late", lease="late", attempt=1, max_attempts=3, created_at=0, priority=0)
    ]
    async with Worker(client, {"t": _ignore}, settings=PATIENT):
        await eventually(lambda: queue.asked("claimJobs"))

    assert (queue.released, queue.leased) == (["late"], {})


async def test_stop_before_start_makes_run_return_at_once(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    worker = Worker(client, {"t": _ignore})

    await worker.stop()
    await worker.stop()
    await worker.run()

    assert queue.requests == []


async def test_stop_twice_at_once_stops_once(client: OsqueueClient, queue: NaiveQueue) -> None:
    switch = Switch()
    job_id = queue.push()
    worker = Worker(client, {"t": switch}, settings=AT_ONCE)
    await worker.start()
    await switch.running.wait()

    await asyncio.gather(worker.stop(), worker.stop())
    await worker.stop()

    assert queue.released == [job_id]


async def test_stop_when_its_caller_is_cancelled_goes_on(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    switch = Switch()
    job_id = queue.push()
    worker = Worker(client, {"t": switch}, settings=PATIENT)
    await worker.start()
    await switch.running.wait()

    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait({stopping})
    switch.off.set()
    await worker.stop()

    assert (stopping.cancelled(), queue.completed) == (True, [job_id])


async def test_stop_by_a_handler_of_the_worker_releases_that_job(
    client: OsqueueClient, queue: NaiveQueue
) -> None:
    async def handle(_: Any) -> None:
        await worker.stop()

    job_id = queue.push()
    worker = Worker(client, {"t": handle}, settings=AT_ONCE)

    await worker.run()

    assert queue.released == [job_id]


async def test_start_twice_claims_once(client: OsqueueClient, queue: NaiveQueue) -> None:
    async with Worker(client, {"t": _ignore}) as worker:
        await worker.start()
        await eventually(lambda: queue.asked("claimJobs"))

    assert queue.abandoned_claims == 1


async def test_start_after_stop_is_refused(client: OsqueueClient) -> None:
    worker = Worker(client, {"t": _ignore})
    await worker.start()
    await worker.stop()

    with pytest.raises(EngineStateError, match="was stopped"):
        await worker.start()


async def test_run_works_until_stopped(client: OsqueueClient, queue: NaiveQueue) -> None:
    worker = Worker(client, {"t": _ignore})
    running = asyncio.create_task(worker.run())
    queue.push()
    await eventually(lambda: queue.completed)

    await worker.stop()

    await running


async def test_run_when_cancelled_stops_first(client: OsqueueClient, queue: NaiveQueue) -> None:
    switch = Switch()
    job_id = queue.push()
    running = asyncio.create_task(Worker(client, {"t": switch}, settings=AT_ONCE).run())
    await switch.running.wait()

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert queue.released == [job_id]


async def test_stop_leaves_no_task_behind(
    client: OsqueueClient, queue: NaiveQueue, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    before = asyncio.all_tasks()
    for _ in range(5):
        queue.push()
    async with Worker(client, {"t": _ignore}, concurrency=2):
        await eventually(lambda: len(queue.completed) == 5)

    assert {task for task in asyncio.all_tasks() if not task.done()} == before
    assert caplog.messages == []
