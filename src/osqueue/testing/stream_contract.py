"""What a transport that brings streams must do, beyond `TransportContract`.

Subclass `StreamContract` as that, and give it the same `make_transport`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

from osqueue.client.transports.protocol import streaming
from osqueue.errors import (
    BrokerLeadershipError,
    BrokerProtocolError,
    EngineStateError,
    JobNotFoundError,
    OsqueueError,
    TransportConfigError,
    TransportConnectionError,
)
from osqueue.storage.memory import MemoryBackend
from osqueue.testing.transport_bench import TransportBench
from osqueue.testing.transport_expectations import PATIENCE_S, Calls, expect_error, until
from osqueue.wire import operations as ops
from osqueue.wire.messages import (
    CreditRequest,
    StreamRequest,
    SubmitBatchRequest,
    SubmitRequest,
    SubscribeRequest,
)

__all__ = ["StreamContract"]

ENDS = (BrokerLeadershipError, EngineStateError, TransportConnectionError)
"""What a stream may end by when its broker stops: it said so, or its connection is gone."""


class StreamContract(TransportBench):
    """The checks. Subclass it, and give it `make_transport`."""

    async def test_subscribe_then_the_counts_and_each_change_after_them(self) -> None:
        async with self.calls() as calls, aclosing(_updates(calls)) as updates:
            assert (await anext(updates)).stats.total == 0
            await calls.submit("a")
            (event,) = await _events(updates)
            assert (event.kind, event.job_id, event.type) == ("submitted", "a", "t")
            await calls.claim(worker_id="me")
            (event,) = await _events(updates)
            assert (event.kind, event.worker_id, event.attempt) == ("claimed", "me", 1)

    async def test_subscribe_to_some_types_then_nothing_of_others(self) -> None:
        async with self.calls() as calls, aclosing(_updates(calls, types=["mine"])) as updates:
            await anext(updates)
            await calls.submit("a", type="other")
            await calls.submit("b", type="mine")
            assert [event.job_id for event in await _events(updates)] == ["b"]

    async def test_stream_of_jobs_then_as_many_as_there_is_credit_for(self) -> None:
        async with self.calls() as calls, aclosing(_jobs(calls, credit=2)) as answers:
            await calls.submit_batch(["a", "b", "c"])
            first = [job.job_id for job in (await anext(answers)).jobs]
            if len(first) == 1:
                first += [job.job_id for job in (await anext(answers)).jobs]
            assert first == ["a", "b"]
            assert (await calls.stats()).unclaimed == 1
            more = CreditRequest(stream_id="s", total=3)
            await calls.call(ops.ADD_CREDIT, more)
            assert [job.job_id for job in (await anext(answers)).jobs] == ["c"]
            await calls.call(ops.ADD_CREDIT, more)
            await calls.submit("d")
            assert (await calls.stats()).unclaimed == 1, "it was asked for once"

    async def test_stream_of_jobs_then_a_job_that_comes_later_is_sent_with_its_lease(self) -> None:
        async with self.calls() as calls, aclosing(_jobs(calls, credit=1)) as answers:
            coming = asyncio.ensure_future(anext(answers))
            await until(lambda: calls.waiting == 1)
            await calls.submit("a", b'{"n":1}')
            (job,) = (await coming).jobs
            assert (job.job_id, bytes(job.payload), job.attempt) == ("a", b'{"n":1}', 1)
            lease = calls.lease("w", job.lease)
            assert (await calls.call(ops.COMPLETE, calls.done(lease), job_id="a")).value is None

    async def test_stream_of_jobs_while_paused_then_nothing_comes_until_resumed(self) -> None:
        async with self.calls() as calls, aclosing(_jobs(calls, credit=2)) as answers:
            await calls.call(ops.PAUSE)
            coming = asyncio.ensure_future(anext(answers))
            await until(lambda: calls.waiting == 1)
            await calls.submit_batch(["a", "b"])
            assert (calls.waiting, coming.done()) == (1, False)
            await calls.call(ops.RESUME)
            assert [job.job_id for job in (await coming).jobs] == ["a", "b"]

    async def test_stream_of_jobs_then_a_job_is_sent_when_the_one_before_it_is_completed(
        self,
    ) -> None:
        async with self.calls() as calls, aclosing(_jobs(calls, credit=2)) as answers:
            first, then = SubmitRequest(job_id="a"), SubmitRequest(job_id="b", after=["a"])
            await calls.call(ops.SUBMIT_BATCH, SubmitBatchRequest([first, then]))
            (job,) = (await anext(answers)).jobs
            lease = calls.lease("w", job.lease)
            await calls.call(ops.COMPLETE, calls.done(lease), job_id="a")
            assert [job.job_id for job in (await anext(answers)).jobs] == ["b"]

    async def test_credit_of_a_stream_that_is_not_there_then_refused(self) -> None:
        async with self.calls() as calls:
            credit = CreditRequest(stream_id="none", total=1)
            error = await expect_error(JobNotFoundError, calls.call(ops.ADD_CREDIT, credit))
            assert (error.remote, error.method) == (True, "addCredit")

    async def test_stream_that_is_given_up_then_the_broker_learns_of_it(self) -> None:
        async with self.calls() as calls:
            answers = _jobs(calls, credit=5)
            coming = asyncio.ensure_future(anext(answers))
            await until(lambda: calls.waiting == 1)
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            await answers.aclose()
            await until(lambda: calls.waiting == 0)
            await calls.submit("a")
            (job,) = await calls.claim(worker_id="next")
            assert (job.job_id, job.attempt) == ("a", 1)

    async def test_stream_closed_between_two_messages_then_the_broker_learns_of_it(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a")
            answers = _jobs(calls, credit=5)
            await anext(answers)
            await answers.aclose()
            credit = CreditRequest(stream_id="s", total=6)
            async with asyncio.timeout(PATIENCE_S):
                with suppress(JobNotFoundError):  # there is no such stream any more
                    while True:
                        await calls.call(ops.ADD_CREDIT, credit)
            await calls.submit("b")
            assert [job.job_id for job in await calls.claim()] == ["b"]

    async def test_stream_while_calls_are_made_then_neither_waits_for_the_other(self) -> None:
        async with self.calls() as calls, aclosing(_updates(calls)) as updates:
            await anext(updates)
            ids = [f"job-{number}" for number in range(100)]
            assert await asyncio.gather(*map(calls.submit, ids)) == ids
            seen: set[str] = set()
            while len(seen) < len(ids):
                seen |= {event.job_id for event in await _events(updates)}
            assert seen == set(ids)

    async def test_stream_of_a_bad_request_then_refused_and_named(self) -> None:
        async with self.calls() as calls:
            error = await expect_error(BrokerProtocolError, anext(_jobs(calls, credit=-1)))
            assert "credit" in error.message
            assert (error.remote, error.method) == (True, "streamJobs")

    async def test_stream_at_a_standby_then_it_names_the_leader(self) -> None:
        store = MemoryBackend()
        async with self.calls(store) as leader, self.calls(store) as standby:
            for pushed in (_updates(standby), _jobs(standby, credit=1)):
                error = await expect_error(BrokerLeadershipError, anext(pushed))
                assert (error.leader, error.applied) == (leader.broker.address, "no")
                assert error.remote

    async def test_stream_when_its_broker_stops_then_ends_by_an_error_that_passes(self) -> None:
        async with self.calls() as calls, aclosing(_updates(calls)) as updates:
            await anext(updates)
            jobs = asyncio.ensure_future(_drained(_jobs(calls, credit=1)))
            await until(lambda: calls.waiting == 1)
            changes = asyncio.ensure_future(_drained(updates))
            await calls.broker.stop()
            for ended in (await jobs, await changes):
                assert isinstance(ended, ENDS), ended

    async def test_stream_of_a_closed_transport_then_refused(self) -> None:
        async with self.calls() as calls:
            await calls.transport.close()
            await expect_error(TransportConfigError, anext(_updates(calls)))


def _updates(calls: Calls, *, types: list[str] | None = None) -> AsyncGenerator[Any, None]:
    request = SubscribeRequest(types=types, stats_every_ms=0)
    return streaming(calls.transport).stream(ops.SUBSCRIBE, request, timeout_s=10)


def _jobs(calls: Calls, *, credit: int) -> AsyncGenerator[Any, None]:
    request = StreamRequest(worker_id="w", credit=credit, stream_id="s")
    return streaming(calls.transport).stream(ops.STREAM_JOBS, request, timeout_s=10)


async def _events(updates: AsyncGenerator[Any, None]) -> list[Any]:
    """The next events that are told."""
    while True:
        update = await anext(updates)
        if update.events:
            return list(update.events)


async def _drained(pushed: AsyncGenerator[Any, None]) -> OsqueueError | None:
    """What a stream ends by."""
    try:
        async for _ in pushed:
            pass
    except OsqueueError as error:
        return error
    return None
