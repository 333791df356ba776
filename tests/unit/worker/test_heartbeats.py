"""How a worker keeps its leases, and what it does when one is lost."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from tests.unit.worker.conftest import ManualTime, NaiveQueue, eventually, settled

from osqueue.client import OsqueueClient
from osqueue.config import WorkerSettings
from osqueue.errors import TransportConnectionError
from osqueue.worker import JobContext, Worker

BEAT_MS = 5_000
SETTINGS = WorkerSettings(heartbeat_interval_ms=BEAT_MS, grace_ms=0, settle_ms=500)


class Sleeper:
    """A handler that runs until it is cancelled."""

    def __init__(self) -> None:
        self.running: list[Any] = []
        self.cancelled: list[Any] = []

    async def __call__(self, payload: Any) -> None:
        self.running.append(payload)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.running.remove(payload)
            self.cancelled.append(payload)


def _names(heartbeat: Any) -> list[str]:
    return [ref.job_id for ref in heartbeat.jobs]


async def test_worker_beats_once_per_interval_for_all_that_it_holds(
    client: OsqueueClient, queue: NaiveQueue, time: ManualTime
) -> None:
    ids = [queue.push(), queue.push(), queue.push()]
    sleeper = Sleeper()

    async with Worker(client, {"t": sleeper}, concurrency=3, settings=SETTINGS) as worker:
        await eventually(lambda: len(sleeper.running) == 3)
        assert queue.asked("heartbeatJobs") == []
        await time.pass_ms(BEAT_MS)
        await time.pass_ms(BEAT_MS)
        beats = queue.asked("heartbeatJobs")

    assert [_names(beat) for beat in beats] == [ids, ids]
    assert {(beat.worker_id, beat.all) for beat in beats} == {(worker.worker_id, True)}
    assert beats[0].jobs[0].lease == "lease-1"


async def test_worker_with_an_id_of_its_users_does_not_claim_to_name_all(
    client: OsqueueClient, queue: NaiveQueue, time: ManualTime
) -> None:
    queue.push()

    async with Worker(client, {"t": Sleeper()}, worker_id="shared", settings=SETTINGS):
        await time.pass_ms(BEAT_MS)

    assert queue.asked("heartbeatJobs")[0].all is False


async def test_worker_without_jobs_does_not_beat(
    client: OsqueueClient, queue: NaiveQueue, time: ManualTime
) -> None:
    async with Worker(client, {"t": Sleeper()}, settings=SETTINGS):
        await eventually(lambda: queue.asked("claimJobs"))
        await settled()

        assert time.pauses_ms() == []


async def test_worker_whose_jobs_have_all_ended_sends_no_beat(
    client: OsqueueClient, queue: NaiveQueue, time: ManualTime
) -> None:
    async def quick(_: Any) -> None:
        pass

    queue.push()
    async with Worker(client, {"t": quick}, settings=SETTINGS):
        await eventually(lambda: queue.completed)
        await settled()
        await time.pass_ms(BEAT_MS)

    assert queue.asked("heartbeatJobs") == []


async def test_worker_keeps_the_lease_of_a_job_whose_completion_is_not_taken_yet(
    client: OsqueueClient, queue: NaiveQueue, time: ManualTime
) -> None:
    async def quick(_: Any) -> None:
        pass

    answers = queue.gates["completeJobs"] = asyncio.Event()
    job_id = queue.push()
    async with Worker(client, {"t": quick}, settings=WorkerSettings()):
        await eventually(lambda: queue.asked("completeJobs"))
        await time.pass_ms(BEAT_MS)
        answers.set()

    assert _names(queue.asked("heartbeatJobs")[0]) == [job_id]


async def test_worker_whose_heartbeat_fails_sends_a_fresh_list(
    client: OsqueueClient, queue: NaiveQueue, time: ManualTime
) -> None:
    queue.faults["heartbeatJobs"] = [TransportConnectionError("broke")]
    first = queue.push()
    sleeper = Sleeper()

    async with Worker(client, {"t": sleeper}, concurrency=2, settings=SETTINGS):
        await time.pass_ms(BEAT_MS)
        second = queue.push()
        await eventually(lambda: len(sleeper.running) == 2)
        await time.pass_ms(25)
        beats = queue.asked("heartbeatJobs")

    assert [_names(beat) for beat in beats] == [[first], [first, second]]


async def test_worker_whose_heartbeat_is_not_answered_within_an_interval_tries_again(
    client: OsqueueClient,
    queue: NaiveQueue,
    time: ManualTime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue.gates["heartbeatJobs"] = asyncio.Event()
    queue.push()
    settings = WorkerSettings(heartbeat_interval_ms=20, grace_ms=0)

    async with Worker(client, {"t": Sleeper()}, settings=settings):
        await time.pass_ms(20)
        await time.pass_ms(25)
        await eventually(lambda: len(queue.asked("heartbeatJobs")) == 2)

    assert "keeping leases: no answer to a heartbeat within 0.02 s" in caplog.text


async def test_worker_that_lost_a_lease_cancels_that_handler_and_reports_nothing(
    client: OsqueueClient,
    queue: NaiveQueue,
    time: ManualTime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "osqueue.worker")
    lost = queue.push(b'"lost"')
    queue.push(b'"kept"')
    sleeper = Sleeper()

    async with Worker(client, {"t": sleeper}, concurrency=2, settings=SETTINGS) as worker:
        await eventually(lambda: len(sleeper.running) == 2)
        queue.lose(lost)
        await time.pass_ms(BEAT_MS)
        await eventually(lambda: sleeper.cancelled == ["lost"])
        assert sleeper.running == ["kept"]
        await eventually(lambda: worker.running == 1)
        assert queue.failed == []

    assert lost not in queue.released
    assert any(f"job {lost}: lease lost" in message for message in caplog.messages)


async def test_worker_that_lost_a_lease_fills_the_slot_again(
    client: OsqueueClient, queue: NaiveQueue, time: ManualTime
) -> None:
    lost = queue.push(b'"lost"')
    sleeper = Sleeper()

    async with Worker(client, {"t": sleeper}, settings=SETTINGS):
        await eventually(lambda: sleeper.running)
        queue.lose(lost)
        queue.push(b'"next"')
        await time.pass_ms(BEAT_MS)
        await eventually(lambda: sleeper.running == ["next"])


async def test_worker_that_lost_the_lease_of_a_thread_tells_it_and_drops_its_result(
    client: OsqueueClient, queue: NaiveQueue, time: ManualTime
) -> None:
    started, seen = threading.Event(), list[bool]()

    def handle(_: Any, ctx: JobContext) -> None:
        started.set()
        seen.append(ctx.cancelled.wait(5))

    job_id = queue.push()
    async with Worker(client, {"t": handle}, settings=SETTINGS) as worker:
        await eventually(started.is_set)
        queue.lose(job_id)
        await time.pass_ms(BEAT_MS)
        await eventually(lambda: seen and worker.running == 0)

    assert seen == [True]
    assert (queue.asked("completeJobs"), queue.failed, queue.released) == ([], [], [])


async def test_worker_that_lost_a_lease_keeps_the_slot_until_the_thread_has_ended(
    client: OsqueueClient, queue: NaiveQueue, time: ManualTime
) -> None:
    go_on, seen = threading.Event(), list[Any]()

    def handle(payload: Any, ctx: JobContext) -> None:
        seen.append(payload)
        ctx.cancelled.wait(5)
        go_on.wait(5)

    lost = queue.push(b'"lost"')
    async with Worker(client, {"t": handle}, settings=SETTINGS) as worker:
        await eventually(lambda: seen)
        queue.lose(lost)
        queue.push(b'"next"')
        await time.pass_ms(BEAT_MS)
        assert (worker.running, seen) == (1, ["lost"])
        go_on.set()
        await eventually(lambda: seen == ["lost", "next"])
