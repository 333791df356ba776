"""Jobs that are sent as they come: credit, renewal, and every way in which a stream ends."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - seeded
from contextlib import suppress
from typing import Any

import pytest

from osqueue.broker import job_streams
from osqueue.broker.service import DEFAULT_QUEUE, QueueService
from osqueue.broker.streams import JobStream
from osqueue.config import CREDIT_MAX, StreamSettings
from osqueue.engine.callers import Caller, CallerGoneError
from osqueue.engine.observer import Observers
from osqueue.engine.requests import End, EndReason, Landed
from osqueue.errors import (
    BrokerLeadershipError,
    BrokerProtocolError,
    EngineStateError,
    JobNotFoundError,
    OverloadedError,
)
from osqueue.storage.memory import MemoryBackend
from osqueue.wire.messages import CreditRequest, StreamRequest, SubmitBatchRequest, SubmitRequest

from .conftest import Broker, Lead, eventually, soon
from .test_subscriptions import taken_over

Q = DEFAULT_QUEUE


def stream(
    service: QueueService,
    credit: int,
    *,
    worker: str = "w",
    name: str = "s",
    caller: Caller | None = None,
) -> JobStream:
    request = StreamRequest(worker_id=worker, credit=credit, stream_id=name)
    return service.stream_jobs(Q, request, caller or Caller())


async def submit(service: QueueService, *job_ids: str) -> None:
    jobs = [SubmitRequest(job_id=job_id) for job_id in job_ids]
    await soon(service.submit_batch(Q, SubmitBatchRequest(jobs)))


async def let_come(service: QueueService, total: int, name: str = "s") -> None:
    await service.add_credit(Q, CreditRequest(stream_id=name, total=total))


async def jobs(stream: JobStream) -> list[str]:
    """The ids of the next jobs that are sent."""
    reply = await soon(anext(stream))
    return [job.job_id for job in reply.value.jobs]


async def statuses(broker: Broker, *job_ids: str) -> list[str]:
    found = [await broker.service.get_job(Q, job_id) for job_id in job_ids]
    return [reply.value.status for reply in found]


def reading(stream: JobStream) -> asyncio.Task[Any]:
    return asyncio.ensure_future(anext(stream))


async def waits(broker: Broker) -> None:
    """Until one claim waits for a job."""
    await eventually(lambda: len(broker.intake.waiting) == 1)


async def test_stream_when_jobs_are_there_then_as_many_come_as_there_is_credit(lead: Lead) -> None:
    broker = await lead()
    await submit(broker.service, *"abc")
    sent = stream(broker.service, 2)
    reply = await soon(anext(sent))
    assert [job.job_id for job in reply.value.jobs] == ["a", "b"]
    assert all(job.lease for job in reply.value.jobs)
    assert reply.position is not None
    assert await statuses(broker, *"abc") == ["in_progress", "in_progress", "unclaimed"]


async def test_stream_when_it_waits_then_a_job_comes_with_the_commit_that_submits_it(
    lead: Lead,
) -> None:
    broker = await lead()
    sent = stream(broker.service, 5)
    next_one = reading(sent)
    await waits(broker)
    submitted = await broker.service.submit(Q, SubmitRequest(job_id="a"))
    reply = await soon(next_one)
    assert reply.position == submitted.position


async def test_stream_when_its_wait_ends_then_it_waits_on(
    lead: Lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_streams, "STREAM_WAIT_MS", 1)
    broker = await lead()
    sent = stream(broker.service, 5)
    claims = []
    original = sent._claim

    async def counted(*args: Any) -> Any:
        claims.append(args)
        return await original(*args)

    sent._claim = counted
    next_one = reading(sent)
    await eventually(lambda: len(claims) >= 4)
    await submit(broker.service, "a")
    assert [job.job_id for job in (await soon(next_one)).value.jobs] == ["a"]


async def test_add_credit_when_it_was_used_up_then_more_jobs_come(lead: Lead) -> None:
    broker = await lead()
    await submit(broker.service, *"abc")
    sent = stream(broker.service, 1)
    assert await jobs(sent) == ["a"]
    next_one = reading(sent)
    await asyncio.sleep(0)
    assert not next_one.done()
    await let_come(broker.service, 3)
    assert [job.job_id for job in (await soon(next_one)).value.jobs] == ["b", "c"]


async def test_add_credit_when_it_comes_twice_or_late_then_it_adds_nothing_again(
    lead: Lead,
) -> None:
    broker = await lead()
    await submit(broker.service, *"abcd")
    sent = stream(broker.service, 1)
    for total in (3, 3, 2, 1):
        await let_come(broker.service, total)
    assert await jobs(sent) == ["a", "b", "c"]
    next_one = reading(sent)
    for total in (3, 2):
        await let_come(broker.service, total)
    await moments(10)
    assert not next_one.done()
    await let_come(broker.service, 4)
    assert [job.job_id for job in (await soon(next_one)).value.jobs] == ["d"]


async def test_stream_when_it_begins_without_credit_then_it_waits_for_some(lead: Lead) -> None:
    broker = await lead()
    await submit(broker.service, "a")
    sent = stream(broker.service, 0)
    await let_come(broker.service, 1)
    assert await jobs(sent) == ["a"]


async def test_add_credit_when_it_is_too_much_then_it_is_bounded(lead: Lead) -> None:
    broker = await lead()
    sent = stream(broker.service, CREDIT_MAX)
    await let_come(broker.service, 2 * CREDIT_MAX)
    assert sent.credit == CREDIT_MAX


async def test_stream_when_there_are_many_jobs_then_they_come_in_answers_of_a_bounded_size(
    lead: Lead,
) -> None:
    broker = await lead()
    ids = [f"j{number:03}" for number in range(150)]
    await submit(broker.service, *ids)
    sent = stream(broker.service, 150)
    first, second = await jobs(sent), await jobs(sent)
    assert (len(first), len(second)) == (100, 50)
    assert first + second == ids


async def test_add_credit_when_there_is_no_such_stream_then_it_is_refused(lead: Lead) -> None:
    broker = await lead()
    with pytest.raises(JobNotFoundError, match="no such stream"):
        await let_come(broker.service, 1)
    sent = stream(broker.service, 1)
    await sent.aclose()
    with pytest.raises(JobNotFoundError, match="no such stream"):
        await let_come(broker.service, 1)


@pytest.mark.parametrize("credit", [0, 1])
async def test_stream_when_another_takes_its_id_then_it_ends_and_that_goes_on(
    lead: Lead, credit: int
) -> None:
    broker = await lead()
    first = stream(broker.service, credit)
    reading_first = reading(first)
    await asyncio.sleep(0)
    second = stream(broker.service, 1)
    with pytest.raises(BrokerProtocolError, match="another stream"):
        await soon(reading_first)
    await first.aclose()
    await submit(broker.service, "a")
    assert await jobs(second) == ["a"]
    await let_come(broker.service, 2)
    assert second.credit == 1


async def test_stream_when_the_id_is_another_workers_then_it_is_refused(lead: Lead) -> None:
    broker = await lead()
    first = stream(broker.service, 1)
    with pytest.raises(BrokerProtocolError, match="another worker"):
        stream(broker.service, 1, worker="thief")
    await submit(broker.service, "a")
    assert await jobs(first) == ["a"]


async def test_stream_when_its_caller_leaves_then_nothing_is_claimed_for_it(lead: Lead) -> None:
    broker = await lead()
    caller = Caller()
    sent = stream(broker.service, 1, caller=caller)
    next_one = reading(sent)
    await waits(broker)
    caller.leave()
    with pytest.raises(CallerGoneError):
        await soon(next_one)
    await submit(broker.service, "a")
    assert await statuses(broker, "a") == ["unclaimed"]
    assert len(broker.service.streams.jobs) == 0


async def test_stream_when_its_caller_leaves_before_it_hears_then_the_job_is_given_back(
    lead: Lead,
) -> None:
    broker = await lead()
    caller = Caller()
    next_one = reading(stream(broker.service, 1, caller=caller))
    await waits(broker)
    submitting = asyncio.ensure_future(broker.service.submit(Q, SubmitRequest(job_id="a")))
    await eventually(lambda: broker.intake.state.leases.live == 1)
    caller.leave()
    with pytest.raises(CallerGoneError):
        await soon(next_one)
    await soon(submitting)
    assert await statuses(broker, "a") == ["unclaimed"]


@pytest.mark.parametrize("credit", [0, 1])
async def test_aclose_when_somebody_reads_then_the_reading_ends(lead: Lead, credit: int) -> None:
    broker = await lead()
    sent = stream(broker.service, credit)
    next_one = reading(sent)
    await asyncio.sleep(0)
    await sent.aclose()
    await sent.aclose()
    with pytest.raises(StopAsyncIteration):
        await soon(next_one)
    assert len(broker.service.streams.jobs) == 0


@pytest.mark.parametrize("credit", [0, 1])
async def test_stream_when_the_broker_stops_then_it_says_so(lead: Lead, credit: int) -> None:
    broker = await lead()
    next_one = reading(stream(broker.service, credit))
    await asyncio.sleep(0)
    await soon(broker.engine.stop())
    with pytest.raises(EngineStateError):
        await soon(next_one)
    with pytest.raises(EngineStateError):
        stream(broker.service, 1)


@pytest.mark.parametrize("credit", [0, 1])
async def test_stream_when_another_broker_takes_over_then_the_error_names_it(
    lead: Lead, credit: int
) -> None:
    store = MemoryBackend()
    broker = await lead(store)
    next_one = reading(stream(broker.service, credit))
    await asyncio.sleep(0)
    await taken_over(store, "other:1")
    with pytest.raises(Exception, match="taken over"):
        await submit(broker.service, "a")
    with pytest.raises(BrokerLeadershipError) as caught:
        await soon(next_one)
    assert caught.value.leader == "other:1"


async def test_stream_when_too_many_are_open_then_it_is_refused(lead: Lead) -> None:
    broker = await lead(streams=StreamSettings(streams_max=1))
    first = stream(broker.service, 1)
    with pytest.raises(OverloadedError, match="too many streams"):
        stream(broker.service, 1, name="other")
    await first.aclose()
    await stream(broker.service, 1, name="other").aclose()


async def moments(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(8))
async def test_streams_when_they_come_and_go_at_any_moment_then_each_job_is_sent_or_free(
    lead: Lead, seed: int
) -> None:
    broker, draw = await lead(), random.Random(seed)
    sent: set[str] = set()

    async def come_and_go(name: str) -> None:
        for _ in range(30):
            credit = draw.randint(1, 3)
            one = stream(broker.service, credit, worker=f"w{name}", name=name)
            next_one = reading(one)
            await moments(draw.randint(0, 12))
            match draw.randrange(4):
                case 0:
                    next_one.cancel()
                case 1:
                    await one.aclose()
                case 2:  # its successor takes the id
                    successor = stream(broker.service, 1, worker=f"w{name}", name=name)
                    await successor.aclose()
                case _:
                    next_one.cancel()
                    await one.aclose()
            with suppress(asyncio.CancelledError, StopAsyncIteration, BrokerProtocolError):
                jobs = (await soon(next_one)).value.jobs
                assert len(jobs) <= credit
                assert not sent & {job.job_id for job in jobs}
                sent.update(job.job_id for job in jobs)
            await one.aclose()

    async def submit_all() -> None:
        for number in range(100):
            await submit(broker.service, f"{seed}-{number}")

    await asyncio.gather(submit_all(), *map(come_and_go, "abcd"))
    counts = (await broker.service.stats(Q)).value
    assert 0 < len(sent) < 100, "some were sent, and some given back"
    assert (counts.in_progress, counts.unclaimed) == (len(sent), 100 - len(sent))
    assert len(broker.service.streams.jobs) == len(broker.intake.waiting) == 0


async def test_stream_when_the_lead_is_lost_with_the_commit_of_its_jobs_then_these_are_sent_first(
    lead: Lead,
) -> None:
    broker = await lead()
    sent = stream(broker.service, 5)
    next_one = reading(sent)
    await waits(broker)
    lost = End(EndReason.FENCED, "another leads", "other:1")

    class LosesIt(Observers):
        def committed(self, landed: Landed) -> None:  # noqa: ARG002 - whichever it is
            broker.service.streams.over(lost)

    term = broker.engine._term
    assert term is not None
    term.observer = LosesIt()
    await submit(broker.service, "a")
    assert [job.job_id for job in (await soon(next_one)).value.jobs] == ["a"]
    with pytest.raises(BrokerLeadershipError, match="another leads"):
        await soon(anext(sent))
    assert await statuses(broker, "a") == ["in_progress"]
