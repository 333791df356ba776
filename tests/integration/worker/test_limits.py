"""How much a worker takes on: its concurrency, that of a type, and jobs held ahead."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

import msgspec
import pytest
from tests.integration.kinds import client_of
from tests.integration.rest import eventually
from tests.integration.worker.conftest import BRISK, ended

from osqueue.app import BrokerServer
from osqueue.client import NewJob, OsqueueClient
from osqueue.config import WorkerSettings
from osqueue.errors import ConfigError
from osqueue.jobs import HandlerSpec, Jobs
from osqueue.worker import JobContext, Worker

PATIENT = WorkerSettings(wait_ms=20_000, heartbeat_interval_ms=5_000, grace_ms=60_000)


class Gates:
    """Handlers that run until they are let go, and how many do."""

    def __init__(self) -> None:
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.begun = 0
        self._gates: dict[str, list[asyncio.Event]] = {}

    async def __call__(self, _payload: Any, ctx: JobContext) -> None:
        gate = asyncio.Event()
        self._gates.setdefault(ctx.type, []).append(gate)
        self.begun += 1
        self.running[ctx.type] += 1
        self.most[ctx.type] = max(self.most[ctx.type], self.running[ctx.type])
        self.most["all"] = max(self.most["all"], self.running.total())
        try:
            await gate.wait()
        finally:
            self.running[ctx.type] -= 1

    async def until_begun(self, count: int) -> None:
        await eventually(lambda: self.begun == count)

    def let(self, job_type: str) -> None:
        """Let one go."""
        self._gates[job_type].pop(0).set()


@pytest.fixture(params=["direct", "ws", "connect"])
async def any_client(queue_broker: BrokerServer, request: pytest.FixtureRequest) -> Any:
    async with client_of(request.param, queue_broker) as client:
        yield client


async def test_type_at_its_limit_when_one_of_it_ends_then_the_next_is_asked_for_at_once(
    any_client: OsqueueClient,
) -> None:
    client, gates = any_client, Gates()
    await client.submit_jobs([("slow", n) for n in range(6)])
    jobs = Jobs()
    jobs.job("slow", concurrency=2)(gates)
    jobs.job("other")(gates)
    async with Worker(client, jobs, 5, settings=PATIENT) as worker:
        for number in range(6):
            await gates.until_begun(min(6, number + 2))
            gates.let("slow")
        await eventually(lambda: not gates.running["slow"])
        await client.submit_job("other")
        await eventually(lambda: gates.running["other"] == 1)
        assert worker.running == 1
        gates.let("other")

    assert (gates.most["slow"], gates.most["all"]) == (2, 2)
    stats = await client.get_stats()
    assert (stats.completed_total, stats.total) == (7, 0)


async def test_types_with_limits_under_load_then_run_all_and_never_beyond_them(
    any_client: OsqueueClient,
) -> None:
    client, most, running = any_client, Counter[str](), Counter[str]()
    runs: Counter[str] = Counter()

    async def handle(_payload: Any, ctx: JobContext) -> None:
        running[ctx.type] += 1
        most[ctx.type] = max(most[ctx.type], running[ctx.type])
        most["all"] = max(most["all"], running.total())
        await asyncio.sleep(0)
        running[ctx.type] -= 1
        runs[ctx.job_id] += 1

    kinds = ["a", "b", "c"] * 100
    await client.submit_jobs([NewJob(kind) for kind in kinds])
    async with Worker(
        client, dict.fromkeys("abc", handle), 8, prefetch=5, type_concurrency={"a": 1, "b": 3}
    ):
        await eventually(lambda: len(runs) == 300)

    assert set(runs.values()) == {1}
    assert (most["a"], most["b"] <= 3, most["all"] <= 8) == (1, True, True)
    assert (await client.get_stats()).completed_total == 300


async def test_worker_whose_types_are_all_at_their_limit_asks_for_nothing(
    client: OsqueueClient,
) -> None:
    gates = Gates()
    await client.submit_jobs([("a", n) for n in range(3)])
    async with Worker(client, {"a": gates}, 5, settings=PATIENT, type_concurrency={"a": 1}):
        for number in range(3):
            await gates.until_begun(number + 1)
            gates.let("a")

    assert gates.most["a"] == 1


async def test_prefetch_holds_jobs_ahead_keeps_them_and_gives_them_back_at_the_stop(
    client: OsqueueClient,
) -> None:
    gates = Gates()
    ids = await client.submit_jobs([("a", n) for n in range(10)])
    async with Worker(client, {"a": gates}, 2, prefetch=5, settings=BRISK) as worker:
        await eventually(lambda: gates.running["a"] == 2)
        held = [await client.get_job(job_id) for job_id in ids]
        assert [job.status for job in held].count("in_progress") == 7
        beaten = [job.heartbeat for job in held]
        while (await client.get_job(ids[6])).heartbeat == beaten[6]:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)
        assert worker.running == 2
        stopping = asyncio.create_task(worker.stop())
        while (await client.get_job(ids[6])).status == "in_progress":  # noqa: ASYNC110
            await asyncio.sleep(0)
        gates.let("a")
        gates.let("a")
        await stopping

    after = [await client.get_job(job_id) for job_id in ids]
    assert [job.status for job in after] == ["completed"] * 2 + ["unclaimed"] * 8
    assert [job.attempts for job in after] == [1, 1] + [0] * 8


async def test_prefetch_when_a_slot_is_free_then_starts_the_next_without_the_broker(
    client: OsqueueClient,
) -> None:
    gates = Gates()
    await client.submit_jobs([("a", n) for n in range(3)])
    async with Worker(client, {"a": gates}, 1, prefetch=2, settings=BRISK):
        for number in range(3):
            await gates.until_begun(number + 1)
            gates.let("a")

    assert (gates.most["a"], (await client.get_stats()).completed_total) == (1, 3)


async def test_job_held_ahead_that_is_cancelled_then_never_runs(client: OsqueueClient) -> None:
    gates = Gates()
    first, second = await client.submit_jobs([("a", 1), ("a", 2)])
    async with Worker(client, {"a": gates}, 1, prefetch=1, settings=BRISK):
        await eventually(lambda: gates.running["a"] == 1)
        await client.cancel_job(second)
        third = await client.submit_job("a", 3)  # taken once the worker knows
        while (await client.get_job(third)).status == "unclaimed":  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)
        gates.let("a")
        await ended(client, first)
        await eventually(lambda: gates.begun == 2)
        gates.let("a")
        await ended(client, third)

    assert (await client.get_job(second)).status == "cancelled"


async def test_ten_jobs_of_a_worker_of_ten_then_take_two_commits_at_the_most(
    any_client: OsqueueClient,
) -> None:
    client = any_client
    await client.submit_jobs([("a", n) for n in range(500)])
    done = asyncio.Event()
    completed: list[object] = []

    def count(job: object) -> None:
        completed.append(job)
        if len(completed) == 500:
            done.set()

    before = (await client.get_status()).commits
    async with Worker(client, {"a": _nothing}, 10, on_job_completed=count):
        await done.wait()
        commits = (await client.get_status()).commits - before

    assert commits <= 2 * 50 + 5  # at the beginning and at the end, one may stand alone


async def _nothing(_: Any) -> None:
    pass


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"prefetch": -1},
        {"type_concurrency": {"a": 0}},
        {"type_concurrency": {"other": 1}},
    ],
    ids=repr,
)
def test_worker_with_senseless_limits_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Worker(OsqueueClient("http://127.0.0.1:1"), {"a": _nothing}, **options)


def test_worker_whose_processes_make_no_sense_is_refused() -> None:
    local = HandlerSpec(function=lambda _: None, executor="process")

    with pytest.raises(ConfigError, match="at the top of its module"):
        Worker(OsqueueClient("http://127.0.0.1:1"), {"a": local})


# Stopping


@pytest.mark.parametrize("phase", ["idle", "running", "ahead", "stopping"])
async def test_stop_at_once_in_any_phase_gives_everything_back(
    client: OsqueueClient, phase: str
) -> None:
    gates = Gates()
    ids = await client.submit_jobs([("a", n) for n in range(0 if phase == "idle" else 3)])
    prefetch = 2 if phase == "ahead" else 0
    worker = Worker(client, {"a": gates}, 1, prefetch=prefetch, settings=PATIENT)
    await worker.start()
    stopping = None
    if phase != "idle":
        await eventually(lambda: gates.running["a"])
    if phase == "stopping":
        stopping = asyncio.create_task(worker.stop())
        await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await worker.stop_at_once()
        if stopping is not None:
            await stopping

    assert {(await client.get_job(job_id)).status for job_id in ids} <= {"unclaimed"}
    assert {(await client.get_job(job_id)).attempts for job_id in ids} <= {0}


async def test_stop_at_once_with_a_stubborn_handler_and_no_broker_ends_within_its_time(
    queue_broker: BrokerServer, caplog: pytest.LogCaptureFixture
) -> None:
    free = asyncio.Event()

    async def stubborn(_: Any) -> None:
        while not free.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await free.wait()

    settings = msgspec.structs.replace(PATIENT, hurry_ms=50, settle_ms=50)
    async with client_of("connect", queue_broker) as client:
        await client.submit_job("a")
        worker = Worker(client, {"a": stubborn}, settings=settings)
        await worker.start()
        await eventually(lambda: worker.running == 1)
        await queue_broker.stop()
        async with asyncio.timeout(10):
            await worker.stop_at_once()
        free.set()

    assert "1 reports did not reach the broker" in caplog.text
    assert "1 handlers do not end" in caplog.text
