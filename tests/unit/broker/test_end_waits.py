"""Calls that wait for a job's end: told when it has come, whatever comes between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import UNSET, Raw, UnsetType

from osqueue.broker.service import DEFAULT_QUEUE
from osqueue.config import QueueLimits, StreamSettings
from osqueue.engine.callers import Caller, CallerGoneError
from osqueue.errors import (
    BrokerLeadershipError,
    CommitUnknownError,
    EngineStateError,
    JobNotFoundError,
    OverloadedError,
    StoreUnavailableError,
)
from osqueue.storage.memory import MemoryBackend
from osqueue.wire.messages import (
    ClaimedJob,
    ClaimRequest,
    CompleteRequest,
    FailRequest,
    JobError,
    JobInfo,
    LeaseRequest,
    ReleaseRequest,
    SubmitRequest,
)

from .conftest import Broker, Lead, eventually, soon
from .test_subscriptions import taken_over

Q = DEFAULT_QUEUE
LONG_MS = 60_000
ERROR = JobError(type="ValueError", message="no")


async def submit(broker: Broker, job_id: str = "a", **options: Any) -> None:
    await soon(broker.service.submit(Q, SubmitRequest(job_id=job_id, **options)))


async def claim(broker: Broker) -> ClaimedJob:
    request = ClaimRequest(worker_id="w", max=1)
    (job,) = (await soon(broker.service.claim(Q, request, Caller()))).value.jobs
    return job


async def complete(broker: Broker, job: ClaimedJob, result: Raw | UnsetType = UNSET) -> None:
    request = CompleteRequest(worker_id="w", lease=job.lease, result=result)
    await soon(broker.service.complete(Q, job.job_id, request))


async def fail(broker: Broker, job: ClaimedJob, *, retry: bool = False) -> None:
    request = FailRequest(worker_id="w", lease=job.lease, error=ERROR, retry=retry, delay_ms=0)
    await soon(broker.service.fail(Q, job.job_id, request))


async def waits(broker: Broker, number: int = 1) -> None:
    """Until so many calls wait, and have looked."""
    await eventually(lambda: len(broker.service.streams.ends) == number)
    await eventually(lambda: not broker.intake.pending)
    for _ in range(20):
        await asyncio.sleep(0)


def waiting(
    broker: Broker, job_id: str = "a", *, wait_ms: int = LONG_MS, caller: Caller | None = None
) -> asyncio.Task[JobInfo]:
    async def wait() -> JobInfo:
        reply = await broker.service.get_job(Q, job_id, wait_ms=wait_ms, caller=caller)
        return reply.value

    return asyncio.ensure_future(wait())


async def test_wait_when_the_job_completes_then_it_is_told_with_the_result(lead: Lead) -> None:
    broker = await lead()
    await submit(broker)
    call = waiting(broker)
    await waits(broker)
    await complete(broker, await claim(broker), Raw(b'{"n":1}'))
    info = await soon(call)
    assert (info.status, info.result) == ("completed", Raw(b'{"n":1}'))
    assert len(broker.service.streams.ends) == 0
    assert broker.engine.awaited == set()


async def test_wait_when_the_job_is_over_already_then_it_is_shown_at_once(lead: Lead) -> None:
    broker = await lead()
    await submit(broker)
    await complete(broker, await claim(broker))
    assert (await soon(waiting(broker))).status == "completed"


async def test_wait_when_the_job_dies_then_it_is_told_with_the_failures(lead: Lead) -> None:
    broker = await lead()
    await submit(broker)
    call = waiting(broker)
    await waits(broker)
    await fail(broker, await claim(broker), retry=True)
    await fail(broker, await claim(broker))
    info = await soon(call)
    assert info.status == "dead"
    assert [error.attempt for error in info.errors] == [1, 2]
    assert info.errors[-1] == info.last_error


async def test_wait_when_the_job_is_cancelled_then_it_is_told(lead: Lead) -> None:
    broker = await lead()
    await submit(broker)
    call = waiting(broker)
    await waits(broker)
    await soon(broker.service.cancel(Q, "a"))
    assert (await soon(call)).status == "cancelled"


async def test_wait_when_the_lease_runs_out_for_good_then_it_is_told(lead: Lead) -> None:
    broker = await lead(limits=QueueLimits(lease_timeout_ms=100))
    await submit(broker, max_attempts=1)
    call = waiting(broker)
    await waits(broker)
    await claim(broker)
    info = await soon(call)
    assert info.last_error is not None
    assert (info.status, info.last_error.type) == ("dead", "LeaseExpired")


async def test_wait_when_its_time_is_over_then_the_job_is_shown_as_it_is(lead: Lead) -> None:
    broker = await lead()
    await submit(broker)
    call = waiting(broker, wait_ms=40)
    await waits(broker)
    await claim(broker)
    assert (await soon(call)).status == "in_progress"
    assert broker.engine.awaited == set()


async def test_wait_when_there_is_no_such_job_then_it_is_refused_at_once(lead: Lead) -> None:
    broker = await lead()
    with pytest.raises(JobNotFoundError):
        await soon(waiting(broker, "none"))
    assert broker.engine.awaited == set()


async def test_wait_when_an_attempt_ends_and_the_job_goes_on_then_it_waits_on(lead: Lead) -> None:
    broker = await lead()
    await submit(broker)
    call = waiting(broker)
    await waits(broker)
    job = await claim(broker)
    await soon(broker.service.release(Q, "a", ReleaseRequest(worker_id="w", lease=job.lease)))
    await fail(broker, await claim(broker), retry=True)
    job = await claim(broker)
    await soon(broker.service.heartbeat(Q, "a", LeaseRequest(worker_id="w", lease=job.lease)))
    assert not call.done()
    await complete(broker, job)
    assert (await soon(call)).status == "completed"


async def test_wait_when_a_dead_letter_is_revived_then_its_next_end_is_told(lead: Lead) -> None:
    broker = await lead()
    await submit(broker)
    job = await claim(broker)
    call = waiting(broker)
    await waits(broker)
    request = FailRequest(worker_id="w", lease=job.lease, error=ERROR, retry=False)
    failing = broker.service.fail(Q, "a", request)
    await asyncio.gather(failing, broker.service.retry(Q, "a"))  # one right after the other
    await waits(broker)
    assert not call.done()
    await complete(broker, await claim(broker))
    assert (await soon(call)).status == "completed"


async def test_wait_when_the_caller_leaves_then_it_is_forgotten(lead: Lead) -> None:
    broker = await lead()
    await submit(broker)
    caller = Caller()
    call = waiting(broker, caller=caller)
    await waits(broker)
    caller.leave()
    with pytest.raises(CallerGoneError):
        await soon(call)
    assert len(broker.service.streams.ends) == 0
    assert broker.engine.awaited == set()


async def test_wait_when_the_caller_has_left_before_it_began_then_it_is_forgotten(
    lead: Lead,
) -> None:
    broker = await lead()
    await submit(broker)
    caller = Caller()
    caller.leave()
    with pytest.raises(CallerGoneError):
        await soon(waiting(broker, caller=caller))
    assert broker.engine.awaited == set()


async def test_wait_when_it_is_cancelled_then_it_is_forgotten(lead: Lead) -> None:
    broker = await lead()
    await submit(broker)
    calls = [waiting(broker), waiting(broker)]
    await waits(broker, 2)
    calls[0].cancel()
    await asyncio.gather(calls[0], return_exceptions=True)
    assert broker.engine.awaited == {"a"}
    await complete(broker, await claim(broker))
    assert (await soon(calls[1])).status == "completed"
    assert broker.engine.awaited == set()


async def test_wait_when_leadership_is_lost_then_the_leader_is_named_at_once(lead: Lead) -> None:
    store = MemoryBackend()
    broker = await lead(store)
    await submit(broker)
    call = waiting(broker)
    await waits(broker)
    await taken_over(store, "other:1")
    with pytest.raises(CommitUnknownError):
        await submit(broker, "b")
    with pytest.raises(BrokerLeadershipError) as caught:
        await soon(call)
    assert caught.value.retryable


async def test_wait_when_the_broker_stops_then_it_is_told_to_ask_elsewhere_and_another_tells(
    lead: Lead,
) -> None:
    store = MemoryBackend()
    first = await lead(store)
    await submit(first)
    job = await claim(first)
    call = waiting(first)
    await waits(first)
    await soon(first.engine.stop())
    with pytest.raises((BrokerLeadershipError, EngineStateError)) as caught:
        await soon(call)
    assert caught.value.retryable
    second = await lead(store)
    call = waiting(second)
    await waits(second)
    await complete(second, job, Raw(b"7"))
    assert (await soon(call)).result == Raw(b"7")


async def test_wait_when_ended_by_hand_then_it_is_told(lead: Lead) -> None:
    store = MemoryBackend()
    broker = await lead(store)
    await submit(broker)
    call = waiting(broker)
    await waits(broker)
    stored = await store.get("queue.json")
    assert stored is not None
    edited = stored.data.replace(b'"status":"unclaimed"', b'"status":"dead"')
    await store.put("queue.json", edited, if_version=stored.version)
    await submit(broker, "b")  # the next commit meets what was written by hand
    assert (await soon(call)).status == "dead"


async def test_wait_when_removed_by_hand_then_it_is_told_that_there_is_no_such_job(
    lead: Lead,
) -> None:
    store = MemoryBackend()
    broker = await lead(store)
    await submit(broker, "b")
    await submit(broker)
    call = waiting(broker)
    await waits(broker)
    stored = await store.get("queue.json")
    assert stored is not None
    at = stored.data.index(b',{"id":"a"')
    edited = stored.data[:at] + stored.data[stored.data.index(b"]", at) :]
    await store.put("queue.json", edited, if_version=stored.version)
    await submit(broker, "c")
    with pytest.raises(JobNotFoundError):
        await soon(call)


async def test_wait_when_the_end_is_not_durable_yet_then_nothing_is_told_of_it(lead: Lead) -> None:
    class Stuck(MemoryBackend):
        """Takes no write while it is stuck."""

        stuck = False
        freed = asyncio.Event()

        async def put(self, key: str, data: bytes, **options: Any) -> Any:
            if self.stuck:
                await self.freed.wait()
                raise StoreUnavailableError("not now")
            return await super().put(key, data, **options)

    store = Stuck()
    broker = await lead(store)
    await submit(broker)
    job = await claim(broker)
    call = waiting(broker)
    await waits(broker)
    store.stuck = True
    completing = asyncio.ensure_future(complete(broker, job))
    await eventually(lambda: broker.intake.state.completed_total == 1)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not call.done()
    store.stuck = False
    store.freed.set()
    await soon(completing)
    assert (await soon(call)).status == "completed"


async def test_wait_when_the_job_has_left_the_finished_by_then_its_end_is_told(lead: Lead) -> None:
    broker = await lead(limits=QueueLimits(finished_max=0))
    await submit(broker)
    call = waiting(broker)
    await waits(broker)
    await complete(broker, await claim(broker))
    info = await soon(call)
    assert (info.status, info.created_at) == ("completed", UNSET)


async def test_wait_when_too_many_wait_then_the_next_is_refused_and_the_others_are_told(
    lead: Lead,
) -> None:
    broker = await lead(streams=StreamSettings(end_waits_max=3))
    await submit(broker)
    calls = [waiting(broker) for _ in range(3)]
    await waits(broker, 3)
    with pytest.raises(OverloadedError) as caught:
        await soon(waiting(broker))
    assert caught.value.retryable
    await complete(broker, await claim(broker))
    assert {info.status for info in await soon(asyncio.gather(*calls))} == {"completed"}
    assert (await soon(waiting(broker))).status == "completed"


async def test_wait_when_ten_thousand_wait_for_one_job_then_all_are_told(lead: Lead) -> None:
    broker = await lead()
    await submit(broker)
    calls = [waiting(broker) for _ in range(10_000)]
    await waits(broker, 10_000)
    with pytest.raises(OverloadedError):
        await soon(waiting(broker))
    await complete(broker, await claim(broker))
    infos = await asyncio.wait_for(asyncio.gather(*calls), 60)
    assert {info.status for info in infos} == {"completed"}
    assert len(broker.service.streams.ends) == 0


async def test_wait_when_nothing_happens_then_nothing_is_asked(lead: Lead) -> None:
    broker = await lead()
    await submit(broker)
    calls = [waiting(broker) for _ in range(10)]
    await waits(broker, 10)
    arrived = broker.engine._term.committer._arrivals  # type: ignore[union-attr]
    await submit(broker, "other")
    await soon(broker.service.cancel(Q, "other"))
    assert broker.engine._term.committer._arrivals == arrived + 2  # type: ignore[union-attr]
    for call in calls:
        call.cancel()
