"""What a transport must carry of jobs that are retried, bring results and are waited for.

Subclass `JobContract` as `TransportContract`, and give it the same `make_transport`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from msgspec import UNSET, Raw

from osqueue.config import RESULT_BYTES_MAX, BrokerSettings, RetryPolicy
from osqueue.errors import (
    BrokerLeadershipError,
    EngineStateError,
    JobNotFoundError,
    OsqueueError,
    PayloadValidationError,
    TransportConnectionError,
)
from osqueue.storage.memory import MemoryBackend
from osqueue.testing.transport_bench import TransportBench
from osqueue.testing.transport_expectations import PATIENCE_S, Calls, expect_error, until
from osqueue.wire import operations as ops
from osqueue.wire.messages import (
    ClaimRequest,
    CompleteBatchRequest,
    CompleteRequest,
    FailRequest,
    HeartbeatBatchRequest,
    HeartbeatRef,
    JobError,
    JobInfo,
    Progress,
    SubmitRequest,
)
from osqueue.wire.operations import JobQuery

__all__ = ["JobContract"]

LARGE: Final = Raw(b'"%b"' % (b"x" * 100_000))
LONG_MS: Final = 30_000
ENDS: Final = (BrokerLeadershipError, EngineStateError, TransportConnectionError)
"""What a wait may end by when its broker stops: it said so, or its connection is gone."""


class JobContract(TransportBench):
    """The checks. Subclass it, and give it `make_transport`."""

    async def test_submit_with_terms_then_they_are_handed_out_and_shown(self) -> None:
        async with self.calls() as calls:
            policy = RetryPolicy(base_ms=5, factor=1.5, max_ms=90, jitter=0.5)
            terms: dict[str, Any] = {"retry": policy, "timeout_ms": 1_500, "keep_result": True}
            small = SubmitRequest(payload=Raw(b"1"), job_id="small", **terms)
            large = SubmitRequest(payload=LARGE, job_id="large", **terms)
            await calls.call(ops.SUBMIT, small)
            await calls.call(ops.SUBMIT_LARGE, large, job_id="large")
            jobs = await calls.claim(max_jobs=2)
            assert [job.job_id for job in jobs] == ["small", "large"]
            for job in jobs:
                assert (job.timeout_ms, job.keep_result) == (1_500, True)
                shown = await calls.job(job.job_id)
                assert (shown.retry, shown.timeout_ms, shown.keep_result) == (policy, 1_500, True)

    async def test_submit_without_terms_then_nothing_is_said_of_them(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a")
            (job,) = await calls.claim()
            assert (job.timeout_ms, job.keep_result) == (UNSET, UNSET)
            shown = await calls.job("a")
            assert (shown.retry, shown.timeout_ms, shown.keep_result) == (None, None, False)

    async def test_fail_then_its_failures_are_kept_with_when_and_whose(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a")
            for number in range(2):
                (job,) = await calls.claim(f"w{number}")
                request = _failure(f"w{number}", job.lease, f"no {number}", delay_ms=0)
                await calls.call(ops.FAIL, request, job_id="a")
            shown = await calls.job("a")
            told = [(each.message, each.attempt, each.worker_id) for each in shown.errors]
            assert told == [("no 0", 1, "w0"), ("no 1", 2, "w1")]
            assert shown.last_error == shown.errors[-1]
            assert all(each.at for each in shown.errors)
            (listed,) = (await calls.call(ops.LIST_JOBS, ops.ListQuery())).value.jobs
            assert (listed.last_error, listed.errors) == (shown.last_error, [])

    async def test_fail_without_a_delay_then_it_waits_by_its_policy_and_with_one_by_that(
        self,
    ) -> None:
        async with self.calls() as calls:
            for job_id, delay_ms, waits_ms in (("a", None, 5_000), ("b", 70_000, 70_000)):
                policy = RetryPolicy(base_ms=5_000, jitter=0)
                await calls.call(ops.SUBMIT, SubmitRequest(job_id=job_id, retry=policy))
                (job,) = await calls.claim()
                request = _failure("w", job.lease, "no", delay_ms=delay_ms)
                await calls.call(ops.FAIL, request, job_id=job_id)
                shown = await calls.job(job_id)
                assert shown.run_at is not None
                assert shown.last_error is not None
                assert shown.last_error.at is not None
                assert shown.run_at == shown.last_error.at + waits_ms

    async def test_claim_with_caps_then_no_more_of_a_type(self) -> None:
        async with self.calls() as calls:
            for number in range(3):
                await calls.submit(f"a{number}", type="a")
                await calls.submit(f"b{number}", type="b")
                await calls.submit(f"c{number}", type="c")
            request = ClaimRequest(worker_id="w", max=9, max_by_type={"a": 1, "c": 0})
            jobs = (await calls.call(ops.CLAIM, request)).value.jobs
            assert [job.job_id for job in jobs] == ["a0", "b0", "b1", "b2"]

    async def test_claim_that_waits_with_caps_then_what_it_leaves_out_does_not_wake_it(
        self,
    ) -> None:
        async with self.calls() as calls:
            request = ClaimRequest(worker_id="w", max=9, max_by_type={"a": 0}, wait_ms=LONG_MS)
            claim = asyncio.ensure_future(calls.call(ops.CLAIM, request, timeout_s=PATIENCE_S))
            await until(lambda: calls.waiting == 1)
            await calls.submit("a", type="a")
            assert calls.waiting == 1
            await calls.submit("b", type="b")
            assert [job.job_id for job in (await claim).value.jobs] == ["b"]

    # Results

    async def test_complete_with_a_result_then_it_is_kept_as_the_first_one_was(self) -> None:
        async with self.calls() as calls:
            done = await _held(calls, "a")
            for result in (b'{"n": [1,null]}', b"2"):
                done.result = Raw(result)
                assert (await calls.call(ops.COMPLETE, done, job_id="a")).value is None
            assert (await calls.job("a")).result == Raw(b'{"n": [1,null]}')

    async def test_complete_with_a_result_that_is_too_large_then_the_job_stays_held(self) -> None:
        async with self.calls() as calls:
            done = await _held(calls, "a")
            done.result = Raw(b'"%b"' % (b"x" * (RESULT_BYTES_MAX - 1)))
            error = await expect_error(
                PayloadValidationError, calls.call(ops.COMPLETE, done, job_id="a")
            )
            assert error.status == 422
            assert (await calls.job("a")).status == "in_progress"
            done.result = Raw(b'"%b"' % (b"x" * (RESULT_BYTES_MAX - 2)))
            await calls.call(ops.COMPLETE, done, job_id="a")
            assert (await calls.job("a")).result == done.result

    async def test_complete_of_many_then_each_result_is_judged_by_itself(self) -> None:
        async with self.calls() as calls:
            refs = await calls.held_refs("a", "b", "c")
            refs[0].result, refs[1].result = Raw(b"null"), Raw(b"1" * 5_000)
            batch = CompleteBatchRequest(worker_id="w", jobs=refs)
            results = (await calls.call(ops.COMPLETE_BATCH, batch)).value.results
            assert [result.job_id for result in results] == ["a", "b", "c"]
            tags = [None if result.error is None else result.error.tag for result in results]
            assert tags == [None, "PayloadValidationError", None]
            found = [await calls.job(job_id) for job_id in "abc"]
            assert [job.status for job in found] == ["completed", "in_progress", "completed"]
            assert [job.result for job in found] == [Raw(b"null"), UNSET, UNSET]

    # Progress

    async def test_heartbeat_with_progress_then_it_is_shown_until_the_lease_ends(self) -> None:
        async with self.calls() as calls:
            (ref,) = await calls.held_refs("a")
            told = Progress(done=1, total=4.5, note="käse")
            beat = HeartbeatRef(job_id="a", lease=ref.lease, progress=told)
            request = HeartbeatBatchRequest(worker_id="w", jobs=[beat])
            await calls.call(ops.HEARTBEAT_BATCH, request)
            assert (await calls.job("a")).progress == told
            await calls.call(ops.COMPLETE_BATCH, CompleteBatchRequest(worker_id="w", jobs=[ref]))
            assert (await calls.job("a")).progress is None

    # Waiting for the end

    async def test_job_awaited_then_answered_when_it_ends(self) -> None:
        async with self.calls() as calls:
            done = await _held(calls, "a")
            done.result = Raw(b"7")
            awaiting = asyncio.ensure_future(_awaited(calls, "a"))
            await _until_waiting(calls, 1)
            assert not awaiting.done()
            await calls.call(ops.COMPLETE, done, job_id="a")
            job = await awaiting
            assert (job.status, job.result) == ("completed", Raw(b"7"))

    async def test_job_awaited_for_long_enough_then_shown_as_it_is(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a")
            assert (await _awaited(calls, "a", wait_ms=20)).status == "unclaimed"

    async def test_job_awaited_that_is_not_there_then_said_at_once(self) -> None:
        async with self.calls() as calls:
            await expect_error(JobNotFoundError, _awaited(calls, "none"))

    async def test_job_awaited_by_a_caller_that_gives_up_then_forgotten(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a")
            awaiting = asyncio.ensure_future(_awaited(calls, "a"))
            await _until_waiting(calls, 1)
            awaiting.cancel()
            await asyncio.gather(awaiting, return_exceptions=True)
            await _until_waiting(calls, 0)

    async def test_job_awaited_when_the_broker_stops_then_it_can_be_asked_again(self) -> None:
        broker = self.make_broker(MemoryBackend(), BrokerSettings())
        async with broker, self.calls_to(broker) as calls:
            await calls.submit("a")
            awaiting = asyncio.ensure_future(_awaited(calls, "a"))
            await _until_waiting(calls, 1)
            await broker.stop()
            (error,) = await asyncio.gather(awaiting, return_exceptions=True)
            assert isinstance(error, ENDS), error
            assert isinstance(error, OsqueueError)
            assert error.retryable


async def _held(calls: Calls, job_id: str) -> CompleteRequest:
    """What would complete a job that is submitted and claimed."""
    return calls.done(await calls.held(job_id))


async def _awaited(calls: Calls, job_id: str, *, wait_ms: int = LONG_MS) -> JobInfo:
    query = JobQuery(wait_ms=wait_ms)
    timeout_s = PATIENCE_S + wait_ms / 1_000
    answer = await calls.call(ops.GET_JOB, query, job_id=job_id, timeout_s=timeout_s)
    job: JobInfo = answer.value
    return job


async def _until_waiting(calls: Calls, number: int) -> None:
    await until(lambda: calls.broker.waiting_ends == number)


def _failure(worker_id: str, lease: str, message: str, *, delay_ms: int | None) -> FailRequest:
    error = JobError(type="ValueError", message=message)
    return FailRequest(worker_id=worker_id, lease=lease, error=error, delay_ms=delay_ms)
