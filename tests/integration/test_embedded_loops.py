"""What becomes of a job by how its loop is left; and what a queue does beside its loops."""

# ruff: noqa: PT012, TRY301 - how a block is left is what is tested

from __future__ import annotations

import asyncio
import gc
import json
import math
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from osqueue.client import JobInfo
from osqueue.config import BrokerSettings, ClientSettings, LeadershipSettings, QueueLimits
from osqueue.embedded import Queue, QueueJob
from osqueue.errors import (
    BrokerLeadershipError,
    ConfigError,
    Discard,
    EngineStateError,
    LeaseLostError,
    OsqueueError,
    PayloadValidationError,
    Retry,
)
from osqueue.storage import MemoryBackend
from osqueue.testing import Fault, ScriptedStore, Step

SETTINGS = BrokerSettings(
    leadership=LeadershipSettings(heartbeat_interval_ms=100, heartbeat_timeout_ms=400)
)
QUICK_LEASES = BrokerSettings(
    limits=QueueLimits(lease_timeout_ms=1_000), leadership=SETTINGS.leadership
)


class Send(msgspec.Struct):
    to: str


class BodyError(Exception):
    pass


@pytest.fixture(params=["leading", "brokerless"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    brokerless = request.param == "brokerless"
    storage = f"file://{tmp_path}/queue"
    return {"storage": storage, "settings": SETTINGS, "brokerless": brokerless}


@pytest.fixture
async def q(options: dict[str, Any]) -> AsyncIterator[Queue[Send]]:
    async with Queue(Send, **options) as q:
        yield q


async def settled(q: Queue[Send], job_id: str) -> JobInfo:
    """The job, once nobody holds it."""
    async with asyncio.timeout(8):
        while (info := await q.client.get_job(job_id)).status == "in_progress":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return info


async def assert_completed(q: Queue[Send], job_id: str) -> None:
    assert (await settled(q, job_id)).status == "completed"


async def assert_given_back(q: Queue[Send], job_id: str) -> None:
    info = await settled(q, job_id)
    assert (info.status, info.attempts, info.last_error) == ("unclaimed", 0, None)


async def assert_failed(q: Queue[Send], job_id: str, error: str = "BodyError") -> None:
    info = await settled(q, job_id)
    assert info.last_error is not None, info.status
    assert (info.status, info.attempts) == ("unclaimed", 1)
    assert error in info.last_error.type


async def first(q: Queue[Send]) -> str:
    return await q.push(Send("ada"))


# Loops


async def test_loop_when_the_next_is_asked_for_then_the_one_before_is_completed(
    q: Queue[Send],
) -> None:
    ids = await q.push_many([Send(str(n)) for n in range(5)])
    seen = []
    async for job in q.consume():
        seen.append((job.job_id, job.payload))
        if len(seen) == len(ids):
            break
    assert seen == [(job_id, Send(str(n))) for n, job_id in enumerate(ids)]
    for job_id in ids[:-1]:
        await assert_completed(q, job_id)
    await assert_given_back(q, ids[-1])


async def test_loop_when_a_job_runs_after_another_then_it_comes_when_that_is_completed(
    q: Queue[Send],
) -> None:
    last = await q.push(Send("last"), after=[first := await q.push(Send("first"))], priority=-1)
    seen = []
    async for job in q.consume():
        seen.append(job.job_id)
        if len(seen) == 2:
            break
    assert seen == [first, last]


async def test_loop_when_left_by_break_then_its_job_is_given_back(q: Queue[Send]) -> None:
    job_id = await first(q)
    async for job in q.consume():
        assert job.job_id == job_id
        break
    await assert_given_back(q, job_id)


async def test_loop_when_left_by_return_then_its_job_is_given_back(q: Queue[Send]) -> None:
    job_id = await first(q)

    async def body() -> str:
        async for job in q.consume():
            return job.job_id
        raise AssertionError("it goes on for ever")

    assert await body() == job_id
    await assert_given_back(q, job_id)


async def test_loop_when_an_exception_is_caught_between_then_its_job_is_given_back(
    q: Queue[Send],
) -> None:
    job_id = await first(q)
    try:
        async for _ in q.consume():
            raise BodyError
    except BodyError:
        pass
    await assert_given_back(q, job_id)


async def test_loop_when_an_exception_is_caught_inside_then_its_job_is_completed(
    q: Queue[Send],
) -> None:
    """The loop cannot know: whoever catches it says what it means, by `fail`."""
    ids = await q.push_many([Send("a"), Send("b")])
    async for job in q.consume():
        try:
            raise BodyError
        except BodyError as error:
            if job.job_id == ids[1]:
                await q.fail(job, error)
                break
    await assert_completed(q, ids[0])
    await assert_failed(q, ids[1])


async def test_loop_when_an_exception_leaves_the_queue_then_its_job_has_failed(
    options: dict[str, Any],
) -> None:
    with pytest.raises(BodyError):
        async with Queue(Send, **options) as q:
            job_id = await first(q)
            async for _ in q.consume():
                raise BodyError
    async with Queue(Send, **options) as q:
        await assert_failed(q, job_id)


async def test_loop_when_an_exception_leaves_the_consumer_then_its_job_has_failed(
    q: Queue[Send],
) -> None:
    job_id = await first(q)
    with pytest.raises(BodyError):
        async with q.consume() as jobs:
            async for _ in jobs:
                raise BodyError
    await assert_failed(q, job_id)


async def test_loop_when_an_exception_ends_its_task_then_its_job_has_failed(
    q: Queue[Send],
) -> None:
    job_id = await first(q)

    async def body() -> None:
        async for _ in q.consume():
            raise BodyError

    await asyncio.gather(asyncio.create_task(body()), return_exceptions=True)
    await assert_failed(q, job_id)


async def test_loop_when_its_consumer_is_left_without_an_exception_then_its_job_is_given_back(
    q: Queue[Send],
) -> None:
    job_id = await first(q)
    async with q.consume() as jobs:
        async for _ in jobs:
            break
    info = await q.client.get_job(job_id)
    assert info.status == "unclaimed", "it is done when the consumer is left"
    await assert_given_back(q, job_id)


async def test_loop_when_closed_then_its_job_is_given_back_and_it_goes_on_no_more(
    q: Queue[Send],
) -> None:
    job_id = await first(q)
    jobs = q.consume()
    await anext(jobs)
    await jobs.aclose()
    await assert_given_back(q, job_id)
    assert [job async for job in jobs] == []


async def test_loop_when_dropped_then_its_job_is_given_back(q: Queue[Send]) -> None:
    job_id = await first(q)
    jobs = q.consume()
    await anext(jobs)
    del jobs
    gc.collect()
    await assert_given_back(q, job_id)


async def test_loop_when_inside_of_a_generator_that_is_closed_then_its_job_is_given_back(
    q: Queue[Send],
) -> None:
    ids = await q.push_many([Send("a"), Send("b")])

    async def exact() -> AsyncGenerator[str, None]:
        async for job in q.consume():
            async with job:
                yield job.job_id

    async def plain() -> AsyncGenerator[str, None]:
        async for job in q.consume():
            yield job.job_id

    for wrapped in (exact(), plain()):
        assert await anext(wrapped) == ids[0]
        await wrapped.aclose()
        await assert_given_back(q, ids[0])


async def test_loop_when_its_task_is_cancelled_in_the_body_then_its_job_is_given_back(
    q: Queue[Send],
) -> None:
    job_id = await first(q)
    began = asyncio.Event()

    async def body() -> None:
        async for _ in q.consume():
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await began.wait()
    task.cancel()
    await asyncio.wait({task})
    await assert_given_back(q, job_id)


async def test_loop_when_its_task_is_cancelled_while_it_waits_then_nothing_is_held(
    q: Queue[Send],
) -> None:
    waiting = asyncio.ensure_future(anext(q.consume()))
    await asyncio.sleep(0)
    await q.client.get_stats()
    waiting.cancel()
    await asyncio.wait({waiting})
    job_id = await first(q)
    await assert_given_back(q, job_id)


async def test_loop_when_cancelled_as_it_asks_for_the_next_then_the_one_before_is_completed(
    q: Queue[Send],
) -> None:
    job_id = await first(q)
    jobs = q.consume()
    await anext(jobs)
    asking = asyncio.ensure_future(anext(jobs))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    await assert_completed(q, job_id)


async def test_loop_when_the_queue_is_closed_by_another_task_then_it_ends(
    options: dict[str, Any],
) -> None:
    async with Queue(Send, **options) as q:
        waiting = asyncio.create_task(_all_of(q))
        await asyncio.sleep(0)
        await q.client.get_stats()
    assert await asyncio.wait_for(waiting, 10) == []


async def _all_of(q: Queue[Send]) -> list[str]:
    return [job.job_id async for job in q.consume()]


async def test_loop_when_asked_by_two_tasks_at_once_then_it_refuses(q: Queue[Send]) -> None:
    jobs = q.consume()
    waiting = asyncio.ensure_future(anext(jobs))
    await asyncio.sleep(0)
    with pytest.raises(ConfigError, match=r"call consume\(\) for each"):
        await anext(jobs)
    waiting.cancel()
    await asyncio.wait({waiting})


async def test_loops_when_there_are_several_then_each_job_is_handed_out_once(
    q: Queue[Send],
) -> None:
    ids = await q.push_many([Send(str(n)) for n in range(20)])
    seen: list[str] = []
    enough = asyncio.Event()

    async def body() -> None:
        async for job in q.consume():
            seen.append(job.job_id)
            if len(seen) == len(ids):
                enough.set()
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(body()) for _ in range(4)]
    await asyncio.wait_for(enough.wait(), 20)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert sorted(seen) == sorted(ids)


# ``async with job``


async def test_job_when_its_body_ends_then_it_is_completed_at_once(q: Queue[Send]) -> None:
    job_id = await first(q)
    async for job in q.consume():
        async with job:
            assert job.payload == Send("ada")
        assert (await q.client.get_job(job_id)).status == "completed"
        break


async def test_job_when_an_exception_leaves_its_body_then_it_has_failed_and_the_loop_goes_on(
    q: Queue[Send],
) -> None:
    ids = await q.push_many([Send("a"), Send("b")], max_attempts=1)
    async for job in q.consume():
        try:
            async with job:
                if job.job_id == ids[0]:
                    raise BodyError
        except BodyError:
            continue
        break
    assert (await q.client.get_job(ids[0])).status == "dead"
    await assert_completed(q, ids[1])


async def test_job_when_its_body_is_cancelled_then_it_is_given_back(q: Queue[Send]) -> None:
    job_id = await first(q)
    began = asyncio.Event()

    async def body() -> None:
        async for job in q.consume():
            async with job:
                began.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await began.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    await assert_given_back(q, job_id)


async def test_job_when_its_body_breaks_then_it_is_completed(q: Queue[Send]) -> None:
    """Leaving by ``break`` is no failure of what is inside of ``with``."""
    job_id = await first(q)
    async for job in q.consume():
        async with job:
            break
    await assert_completed(q, job_id)


async def test_job_when_its_body_has_reported_it_then_that_stands(q: Queue[Send]) -> None:
    ids = await q.push_many([Send("a"), Send("b")])
    done, back = await q.claim(), await q.claim()
    assert done is not None
    assert back is not None
    async with done:
        await q.complete(done)
    with pytest.raises(BodyError):
        async with back:
            await q.release(back)
            raise BodyError
    await assert_completed(q, ids[0])
    await assert_given_back(q, ids[1])


async def test_job_when_its_body_asks_for_another_attempt_then_after_that_time(
    q: Queue[Send],
) -> None:
    job_id = await first(q)
    job = await q.claim()
    assert job is not None
    with pytest.raises(Retry):
        async with job:
            raise Retry(after=3_600, reason="later")
    info = await q.client.get_job(job_id)
    assert info.run_at is not None
    assert 3_590_000 < info.run_at - job.created_at < 3_700_000


async def test_close_when_jobs_are_worked_on_then_their_bodies_end_and_they_are_given_back(
    options: dict[str, Any],
) -> None:
    q = Queue(Send, **options)
    await q.open()
    ids = await q.push_many([Send("a"), Send("b"), Send("c")])
    inside: list[asyncio.Task[None]] = []
    full = asyncio.Event()

    async def work(job: QueueJob[Send]) -> None:
        async with job:
            await asyncio.Event().wait()

    async def loop() -> None:
        async for job in q.consume(concurrency=2):
            inside.append(asyncio.create_task(work(job)))
            if len(inside) == 2:
                full.set()

    looping = asyncio.create_task(loop())
    await full.wait()
    await asyncio.sleep(0)
    await q.close()

    ends = await asyncio.gather(*inside, return_exceptions=True)
    assert [type(end) for end in ends] == [LeaseLostError] * 2
    assert "queue was closed" in str(ends[0])
    await looping
    async with Queue(Send, **options) as again:
        infos = [await again.client.get_job(job_id) for job_id in ids]
    assert [(info.status, info.attempts) for info in infos] == [("unclaimed", 0)] * 3


async def test_close_when_called_inside_of_a_job_then_it_is_given_back_and_that_is_said(
    options: dict[str, Any],
) -> None:
    q = Queue(Send, **options)
    await q.open()
    job_id = await q.push(Send("a"))
    job = await q.claim()
    assert job is not None
    closed = False
    with pytest.raises(LeaseLostError, match="queue was closed"):
        async with job:
            await q.close()
            closed = True
    assert closed
    async with Queue(Send, **options) as again:
        assert (await again.client.get_job(job_id)).status == "unclaimed"


@pytest.mark.parametrize("after", [math.nan, math.inf, -5.0, "soon"])
async def test_job_when_its_body_asks_for_another_attempt_at_no_time_then_it_has_failed(
    q: Queue[Send], after: Any
) -> None:
    job_id = await first(q)
    job = await q.claim()
    assert job is not None
    with pytest.raises(Retry):
        async with job:
            raise Retry(after=after)
    info = await q.client.get_job(job_id)
    assert (info.status, info.attempts) == ("unclaimed", 1)


async def test_job_when_its_body_discards_it_then_it_is_a_dead_letter(q: Queue[Send]) -> None:
    job_id = await first(q)
    job = await q.claim()
    assert job is not None
    with pytest.raises(Discard):
        async with job:
            raise Discard("no such address")
    assert (await q.client.get_job(job_id)).status == "dead"


async def test_job_when_its_time_is_over_then_its_body_is_cancelled_and_it_has_failed(
    q: Queue[Send],
) -> None:
    job_id = await q.push(Send("ada"), timeout_ms=20)
    job = await q.claim()
    assert job is not None
    with pytest.raises(TimeoutError, match="longer than 20 ms"):
        async with job:
            await asyncio.Event().wait()
    await assert_failed(q, job_id, "TimeoutError")


async def test_job_when_its_lease_is_lost_then_its_body_is_cancelled_and_told(
    options: dict[str, Any],
) -> None:
    async with Queue(Send, **{**options, "settings": QUICK_LEASES}) as q:
        job_id = await first(q)
        job = await q.claim()
        assert job is not None
        with pytest.raises(LeaseLostError, match="stop working on it"):
            async with job:
                await q.client.cancel_job(job_id)
                await asyncio.Event().wait()
        assert job.cancelled.is_set()
        assert (await q.client.get_job(job_id)).status == "cancelled"


async def test_loop_when_a_lease_is_lost_then_it_goes_on(options: dict[str, Any]) -> None:
    async with Queue(Send, **{**options, "settings": QUICK_LEASES}) as q:
        ids = await q.push_many([Send("a"), Send("b")])
        async for job in q.consume():
            if job.job_id == ids[1]:
                break
            await q.client.cancel_job(job.job_id)
            async with asyncio.timeout(8):
                while not job.cancelled.is_set():  # noqa: ASYNC110 - an event of threads
                    await asyncio.sleep(0.01)
        assert (await q.client.get_job(ids[0])).status == "cancelled"


async def test_lease_when_the_body_takes_longer_than_it_lasts_then_it_is_kept(
    options: dict[str, Any],
) -> None:
    async with Queue(Send, **{**options, "settings": QUICK_LEASES}) as q:
        job_id = await first(q)
        async for job in q.consume():
            await asyncio.sleep(2.5)  # the time that a lease needs is what is tested
            assert not job.cancelled.is_set()
            async with job:
                pass
            break
        await assert_completed(q, job_id)


async def test_job_when_it_is_over_then_it_is_not_ended_twice(q: Queue[Send]) -> None:
    await first(q)
    job = await q.claim()
    assert job is not None
    await q.complete(job)
    for again in (q.complete(job), q.fail(job, "no"), q.release(job)):
        with pytest.raises(LeaseLostError, match="held any more: completed"):
            await again
    with pytest.raises(LeaseLostError):
        async with job:
            raise AssertionError("it cannot be entered")


# Side by side


async def test_loop_when_concurrent_then_so_many_are_worked_on_at_a_time(q: Queue[Send]) -> None:
    ids = await q.push_many([Send(str(n)) for n in range(12)])
    inside: list[QueueJob[Send]] = []
    most, done = 0, []
    go = asyncio.Event()

    async def body(job: QueueJob[Send]) -> None:
        nonlocal most
        async with job:
            inside.append(job)
            most = max(most, len(inside))
            if len(inside) == 3:
                go.set()
            await go.wait()
            inside.remove(job)
        done.append(job.job_id)

    async with asyncio.TaskGroup() as tasks:
        async for job in q.consume(concurrency=3):
            tasks.create_task(body(job))
            if job.job_id == ids[-1]:
                break
    assert (most, sorted(done)) == (3, sorted(ids))
    for job_id in ids:
        await assert_completed(q, job_id)


async def test_loop_when_concurrent_and_left_then_what_was_not_begun_is_given_back(
    q: Queue[Send],
) -> None:
    ids = await q.push_many([Send(str(n)) for n in range(5)])
    async with q.consume(concurrency=3) as jobs:
        job = await anext(jobs)
        async with job:
            pass
        await anext(jobs)
    await assert_completed(q, ids[0])
    for job_id in ids[1:]:
        await assert_given_back(q, job_id)


# Payloads


async def test_push_when_the_payload_is_wrong_then_nothing_is_written(q: Queue[Send]) -> None:
    wrong: Any = {"to": 7}
    with pytest.raises(PayloadValidationError, match="to"):
        await q.push(wrong)
    assert (await q.client.get_stats()).total == 0


async def test_claim_when_a_payload_is_of_another_type_then_it_is_dead_and_the_next_comes(
    q: Queue[Send],
) -> None:
    wrong = await q.client.submit_job("Send", {"to": 7})
    right = await first(q)
    async for job in q.consume():
        assert job.job_id == right
        break
    info = await settled(q, wrong)
    assert info.last_error is not None
    assert (info.status, info.last_error.type) == ("dead", "osqueue.errors.PayloadValidationError")


async def test_claim_when_jobs_of_other_types_are_there_then_they_are_left_alone(
    q: Queue[Send],
) -> None:
    other = await q.client.submit_job("other", {})
    assert await q.claim() is None
    assert (await q.client.get_job(other)).attempts == 0


async def test_push_when_given_options_then_the_job_has_them(q: Queue[Send]) -> None:
    job_id = await q.push(Send("ada"), priority=3, max_attempts=9, delay_ms=60_000, job_id="mine")
    info = await q.client.get_job(job_id)
    assert (job_id, info.priority, info.max_attempts) == ("mine", 3, 9)
    assert info.run_at is not None
    assert await q.claim() is None


async def test_complete_when_given_a_result_then_it_is_kept(q: Queue[Send]) -> None:
    job_id = await q.push(Send("ada"), keep_result=True)
    job = await q.claim()
    assert job is not None
    async with job:
        await q.complete(job, {"sent": True})
    assert await q.client.result(job_id, timeout=5) == {"sent": True}


# The queue itself


async def test_queue_when_not_open_then_it_says_so() -> None:
    q = Queue(Send, storage="memory://")
    with pytest.raises(EngineStateError, match="not open"):
        await q.push(Send("ada"))
    with pytest.raises(EngineStateError, match="not open"):
        q.consume()
    await q.close()
    async with q:
        await q.open()
        await q.push(Send("ada"))


async def test_queue_when_closed_then_it_is_not_opened_again() -> None:
    q = Queue(Send, storage="memory://")
    await asyncio.gather(q.open(), q.open())
    await asyncio.gather(q.close(), q.close())
    for again in (q.push(Send("ada")), q.open()):
        with pytest.raises(EngineStateError, match="make a new one"):
            await again


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"brokerless": True, "wait": True}, "stands by for nobody"),
        ({"settings": BrokerSettings(limits=QueueLimits(lease_timeout_ms=1))}, "at least 1000"),
    ],
)
def test_queue_when_its_options_make_no_sense_then_it_is_not_made(given: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Queue(Send, storage="memory://", **given)


def test_queue_of_a_type_without_a_name_needs_a_job_type() -> None:
    with pytest.raises(ConfigError, match="give job_type"):
        Queue(int | str, storage="memory://")
    assert Queue(int | str, storage="memory://", job_type="n").job_type == "n"
    assert Queue(Send, storage="memory://").job_type == "Send"


async def test_claim_when_nobody_completes_it_then_the_lease_outlives_the_queue(
    options: dict[str, Any],
) -> None:
    async with Queue(Send, **options) as q:
        job_id = await first(q)
        assert await q.claim() is not None
    async with Queue(Send, **options) as q:
        assert (await q.client.get_job(job_id)).status == "in_progress"


async def test_complete_when_the_store_fails_for_a_while_then_it_is_made_all_the_same() -> None:
    store = ScriptedStore(MemoryBackend())
    async with Queue(Send, storage=store, settings=SETTINGS) as q:
        job_id = await first(q)
        job = await q.claim()
        assert job is not None
        store.then(*[Step("put", Fault.UNAVAILABLE) for _ in range(3)])
        await q.complete(job)
        assert not store.unused
        await assert_completed(q, job_id)


async def test_loop_when_a_rival_takes_over_then_it_raises_who_leads_and_reports_nothing(
    tmp_path: Path,
) -> None:
    """Whoever was taken for dead learns it at the next write, and nothing is done twice over."""
    path, once = tmp_path / "queue.json", ClientSettings(retry_for_ms=0)
    storage = f"file://{tmp_path}"
    async with Queue(Send, storage=storage, settings=SETTINGS, client_settings=once) as q:
        job_id = await first(q)
        jobs = q.consume()
        job = await anext(jobs)
        path.with_suffix(".new").write_bytes(_led_by_a_rival(path.read_bytes()))
        path.with_suffix(".new").replace(path)
        with pytest.raises(OsqueueError):
            await anext(jobs)
        assert not job.hold.is_over, "it may have been completed, or not"
        with pytest.raises(BrokerLeadershipError):
            await anext(jobs)
    (kept,) = json.loads(path.read_bytes())["jobs"]
    assert (kept["id"], kept["status"]) == (job_id, "in_progress")


def _led_by_a_rival(data: bytes) -> bytes:
    whole = json.loads(data)
    epoch = whole["epoch"] + 1
    lineage = {**whole.get("lineage", {}), str(whole["epoch"]): whole["commit"]}
    rival = {"broker": "127.0.0.1:1", "brokerId": "rival", "heartbeatEvery": 60_000}
    return json.dumps(
        {**whole, **rival, "epoch": epoch, "commit": f"{epoch}-1-rival", "lineage": lineage}
    ).encode()
