"""What jobs bring, waited for by real clients of real brokers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import UNSET, Raw
from tests.integration.rest import eventually

from osqueue import BrokerServer, OsqueueClient, SyncOsqueueClient
from osqueue.client import Job, Progress
from osqueue.client.loop_thread import LoopThread
from osqueue.config import ArchiveSettings, BrokerSettings, QueueLimits
from osqueue.errors import (
    JobFailedError,
    JobNotFoundError,
    PayloadValidationError,
    ResultTimeoutError,
)


@pytest.fixture
async def broker() -> AsyncIterator[BrokerServer]:
    async with BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=None) as broker:
        yield broker


@pytest.fixture
async def client(broker: BrokerServer) -> AsyncIterator[OsqueueClient]:
    async with OsqueueClient(broker.url) as client:
        yield client


async def held(client: OsqueueClient, **options: int) -> Job:
    await client.submit_job("t", 1, **options)  # type: ignore[arg-type]
    job = await client.claim_job("w")
    assert job is not None
    return job


async def awaiting(
    broker: BrokerServer, client: OsqueueClient, job: Job, timeout_s: float | None = None
) -> asyncio.Task[object]:
    """A task that waits for a result, once the broker knows."""
    task = asyncio.ensure_future(client.result(job.job_id, timeout=timeout_s))
    await eventually(lambda: broker.waiting_ends > 0)
    return task


async def test_result_when_it_comes_then_it_is_the_value(
    broker: BrokerServer, client: OsqueueClient
) -> None:
    job = await held(client)
    task = await awaiting(broker, client, job)
    await client.complete_job(job, {"sum": [1, 2.5], "name": "käse"})
    assert await task == {"sum": [1, 2.5], "name": "käse"}
    assert await client.result(job.job_id) == {"sum": [1, 2.5], "name": "käse"}


async def test_result_when_there_is_none_or_null_then_none(client: OsqueueClient) -> None:
    for result, raw in ((UNSET, None), (None, b"null"), (Raw(b"[ 1 ]"), b"[ 1 ]")):
        job = await held(client)
        await client.complete_job(job, result)
        info = await client.get_job(job.job_id)
        assert info.raw_result == raw
        assert await client.result(job.job_id) == info.result


async def test_results_when_many_are_reported_then_each_has_its_own(client: OsqueueClient) -> None:
    jobs = [await held(client) for _ in range(3)]
    large = "x" * 40_000
    assert await client.complete_jobs(jobs, [large, UNSET, [3]]) == [None, None, None]
    assert [await client.result(job.job_id) for job in jobs] == [large, None, [3]]


async def test_results_when_together_beyond_a_body_then_they_go_in_several(
    client: OsqueueClient,
) -> None:
    jobs = [await held(client) for _ in range(30)]
    results = [str(number) + "x" * 60_000 for number in range(30)]
    errors = await client.complete_jobs(jobs, results)
    assert errors == [None] * 30
    assert [await client.result(job.job_id) for job in jobs] == results


async def test_results_when_one_is_too_large_then_only_its_job_stays_held(
    client: OsqueueClient,
) -> None:
    jobs = [await held(client) for _ in range(3)]
    errors = await client.complete_jobs(jobs, [1, "x" * 70_000, 3])
    assert [type(error) for error in errors] == [type(None), PayloadValidationError, type(None)]
    assert (await client.get_job(jobs[1].job_id)).status == "in_progress"
    with pytest.raises(PayloadValidationError, match="at most 65536"):
        await client.complete_job(jobs[1], "x" * 70_000)


async def test_result_when_it_is_no_json_then_nothing_is_sent(client: OsqueueClient) -> None:
    job = await held(client)
    for odd in (float("inf"), object(), {1, object()}):
        with pytest.raises(PayloadValidationError, match="the result cannot be kept"):
            await client.complete_job(job, odd)
    assert (await client.get_job(job.job_id)).status == "in_progress"


async def test_result_when_the_job_dies_then_the_remote_error(
    broker: BrokerServer, client: OsqueueClient
) -> None:
    job = await held(client)
    task = await awaiting(broker, client, job)
    await client.fail_job(job, ZeroDivisionError("by zero"), retry=False)
    with pytest.raises(JobFailedError) as caught:
        await task
    failed = caught.value
    assert (failed.job_id, failed.job_status) == (job.job_id, "dead")
    assert (failed.error_type, failed.error_message) == ("ZeroDivisionError", "by zero")
    assert failed.traceback is not None
    assert "by zero" in failed.traceback
    assert f"job {job.job_id} is dead: ZeroDivisionError: by zero" in str(failed)


async def test_result_when_the_job_is_cancelled_or_discarded_then_it_failed(
    client: OsqueueClient,
) -> None:
    job = await held(client)
    await client.cancel_job(job.job_id)
    with pytest.raises(JobFailedError) as caught:
        await client.result(job.job_id)
    assert (caught.value.job_status, caught.value.error_type) == ("cancelled", None)
    job = await held(client)
    await client.fail_job(job, "no", retry=False)
    await client.cancel_job(job.job_id)
    with pytest.raises(JobFailedError) as caught:
        await client.result(job.job_id)
    assert (caught.value.job_status, caught.value.error_message) == ("discarded", "no")


async def test_result_when_it_does_not_come_in_time_then_that_is_said_and_the_job_goes_on(
    client: OsqueueClient,
) -> None:
    job = await held(client)
    with pytest.raises(ResultTimeoutError, match=r"within 0\.05 s; it is in_progress") as caught:
        await client.result(job.job_id, timeout=0.05)
    assert isinstance(caught.value, TimeoutError)
    with pytest.raises(ResultTimeoutError):
        await client.result(job.job_id, timeout=0)
    await client.complete_job(job, 1)
    assert await client.result(job.job_id, timeout=0) == 1


async def test_result_when_there_is_no_such_job_then_that_is_said(client: OsqueueClient) -> None:
    with pytest.raises(JobNotFoundError):
        await client.result("none", timeout=5)


async def test_result_when_nobody_answers_then_it_is_given_up_in_time() -> None:
    async with OsqueueClient("http://127.0.0.1:1") as client:
        with pytest.raises(ResultTimeoutError):
            await client.result("a", timeout=0.01)


async def test_result_when_its_waiter_is_cancelled_then_the_broker_forgets_it(
    broker: BrokerServer, client: OsqueueClient
) -> None:
    task = await awaiting(broker, client, await held(client))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await eventually(lambda: broker.waiting_ends == 0)


async def test_result_when_the_leader_changes_meanwhile_then_the_next_one_tells(
    tmp_path: Path,
) -> None:
    storage = f"file://{tmp_path}/q"
    first = BrokerServer(storage, host="127.0.0.1", port=0, grpc_port=None)
    async with OsqueueClient(storage=storage) as client:
        async with first:
            job = await held(client)
            task = await awaiting(first, client, job, 60)
        async with BrokerServer(storage, host="127.0.0.1", port=0, grpc_port=None) as second:
            await eventually(lambda: second.waiting_ends == 1)
            assert not task.done()
            await client.complete_job(job, "from the second")
            assert await task == "from the second"


async def test_result_when_the_job_has_left_for_the_archive_then_it_is_read_there(
    tmp_path: Path,
) -> None:
    settings = BrokerSettings(
        archive=ArchiveSettings(linger_ms=1, look_ms=10),
        limits=QueueLimits(dedupe_window_ms=1),
    )
    server = BrokerServer(
        f"file://{tmp_path}/q", host="127.0.0.1", port=0, grpc_port=None, settings=settings
    )
    async with server as broker, OsqueueClient(broker.url) as client:
        job = await held(client, timeout_ms=9)
        await client.fail_job(job, "no", delay_ms=0)
        again = await client.claim_job("w")
        assert again is not None
        await client.complete_job(again, {"kept": True})

        def archived() -> bool:
            return b'"finished":[]' in _object(tmp_path) or b'"finished"' not in _object(tmp_path)

        await eventually(archived)
        assert await client.result(job.job_id) == {"kept": True}
        info = await client.get_job(job.job_id, wait_ms=1_000)
        assert (info.timeout_ms, [error.message for error in info.errors]) == (9, ["no"])


def _object(folder: Path) -> bytes:
    return (folder / "q" / "queue.json").read_bytes()


async def test_progress_when_told_then_observers_hear_it_with_the_next_commit(
    client: OsqueueClient,
) -> None:
    job = await held(client)
    updates = client.subscribe()
    await anext(updates)
    for done in (1, 2):
        told = {job.lease: Progress(done=done, total=3, note="so far")}
        assert await client.heartbeat_jobs("w", [job], progress=told) == [None]
    assert (await client.get_job(job.job_id)).progress == Progress(done=2, total=3, note="so far")
    other = await client.submit_job("t")
    events = (await anext(updates)).events
    await updates.aclose()
    assert [(event.kind, event.job_id) for event in events] == [
        ("submitted", other),
        ("progress", job.job_id),
    ]
    assert events[1].progress == Progress(done=2, total=3, note="so far")
    assert (events[1].worker_id, events[1].attempt) == ("w", 1)


async def test_claims_when_capped_then_no_more_of_a_type(client: OsqueueClient) -> None:
    await client.submit_jobs([("a", 1), ("a", 2), ("b", 3)])
    jobs = await client.claim_jobs("w", ["a", "b"], max_jobs=9, max_by_type={"a": 1})
    assert [job.payload for job in jobs] == [1, 3]


def test_sync_result_when_it_comes_then_it_is_the_value() -> None:
    thread = LoopThread()

    async def make() -> BrokerServer:
        broker = BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=None)
        await broker.start()
        return broker

    broker = thread.run(make)
    try:
        with SyncOsqueueClient(broker.url) as client:
            job_id = client.submit_job("t", 1, keep_result=True, timeout_ms=1_000)
            job = client.claim_jobs("w", max_jobs=1, max_by_type={"t": 1})[0]
            assert (job.keep_result, job.timeout_ms) == (True, 1_000)
            with pytest.raises(ResultTimeoutError):
                client.result(job_id, timeout=0.01)
            client.complete_jobs([job], [[1, 2]])
            assert client.result(job_id, timeout=10) == [1, 2]
            assert client.get_job(job_id, wait_ms=10).result == [1, 2]
    finally:
        thread.run(broker.stop)
        thread.stop()
