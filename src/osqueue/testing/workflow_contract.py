"""What a transport must carry of jobs that wait for other jobs.

Subclass `WorkflowContract` as `TransportContract`, and give it the same `make_transport`.
"""

from __future__ import annotations

import asyncio
from typing import Final

from msgspec import Raw

from osqueue.errors import BrokerProtocolError, JobNotFoundError, ParentJobError
from osqueue.testing.transport_bench import TransportBench
from osqueue.testing.transport_expectations import Calls, expect_error, until
from osqueue.wire import operations as ops
from osqueue.wire.messages import SubmitBatchRequest, SubmitRequest, Workflow, WorkflowEdge
from osqueue.wire.operations import ListQuery

__all__ = ["WorkflowContract"]

LONG_MS: Final = 10_000
LARGE_BYTES: Final = 3 * 1024 * 1024
LATER: Final = 4_102_444_800_000


class WorkflowContract(TransportBench):
    """The checks. Subclass it, and give it `make_transport`."""

    async def test_job_after_others_then_it_says_so_and_is_not_handed_out(self) -> None:
        async with self.calls() as calls:
            await _submit(calls, _job("a"), _job("b"), _job("c", "a", "b"))
            info = await calls.job("c")
            assert (info.status, info.after, info.waits_for) == (
                "unclaimed",
                ["a", "b"],
                ["a", "b"],
            )
            assert [job.job_id for job in await calls.claim(max_jobs=9)] == ["a", "b"]
            stats = await calls.stats()
            assert (stats.unclaimed, stats.waiting, stats.total) == (1, 1, 3)

    async def test_parents_completed_then_a_claim_that_waits_gets_the_child(self) -> None:
        async with self.calls() as calls:
            lease = await calls.held("a")
            await calls.call(ops.SUBMIT, _job("b", "a"))
            waiting = asyncio.ensure_future(calls.claim(wait_ms=LONG_MS))
            await until(lambda: calls.waiting == 1)
            await calls.call(ops.COMPLETE, calls.done(lease), job_id="a")
            assert [job.job_id for job in await waiting] == ["b"]
            info = await calls.job("b")
            assert (info.after, info.waits_for) == (["a"], [])

    async def test_parent_cancelled_then_so_is_what_waits_for_it_and_why(self) -> None:
        async with self.calls() as calls:
            await _submit(calls, _job("a"), _job("b", "a"), _job("c", "b"))
            await calls.call(ops.CANCEL, job_id="a")
            for job_id, parent in (("b", "a"), ("c", "b")):
                info = await calls.job(job_id)
                assert info.status == "cancelled"
                assert info.last_error is not None
                assert info.last_error.message == f"waits for a job that was cancelled: {parent}"

    async def test_parent_that_is_not_known_then_refused_and_nothing_is_taken(self) -> None:
        async with self.calls() as calls:
            for request in (
                SubmitBatchRequest([_job("a"), _job("b", "none")]),
                SubmitBatchRequest([_job("b", "a"), _job("a")]),
            ):
                call = calls.call(ops.SUBMIT_BATCH, request)
                error = await expect_error(ParentJobError, call)
                assert (error.status, error.method) == (409, "submitJobs")
                assert "in one batch, parents first" in error.message
            assert (await calls.stats()).total == 0

    async def test_parents_that_make_no_sense_then_refused(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a")
            for job in (
                _job("b", "b"),
                _job("b", "a", "a"),
                _job("b", "no such/id"),
                _job("b", *[f"j{number}" for number in range(101)]),
            ):
                error = await expect_error(BrokerProtocolError, calls.call(ops.SUBMIT, job))
                assert "after" in error.message
            assert (await calls.stats()).total == 1

    async def test_large_job_after_another_then_it_waits_as_well(self) -> None:
        text = b'"' + b"x" * LARGE_BYTES + b'"'
        async with self.calls() as calls:
            await calls.submit("a")
            request = SubmitRequest(payload=Raw(text), job_id="large", after=["a"])
            await calls.call(ops.SUBMIT_LARGE, request, job_id="large")
            assert (await calls.job("large")).waits_for == ["a"]
            twice = SubmitRequest(payload=Raw(text), job_id="other", after=["a", "a"])
            call = calls.call(ops.SUBMIT_LARGE, twice, job_id="other")
            await expect_error(BrokerProtocolError, call)

    async def test_list_of_those_that_wait_then_no_others(self) -> None:
        async with self.calls() as calls:
            later = SubmitRequest(job_id="later", run_at=LATER)
            await _submit(calls, _job("a"), later, _job("b", "a"), _job("c", "later"))
            for status, meant in (
                ("ready", ["a"]),
                ("delayed", ["later"]),
                ("waiting", ["b", "c"]),
                ("unclaimed", ["a", "later", "b", "c"]),
            ):
                page = (await calls.call(ops.LIST_JOBS, ListQuery(status=status))).value
                assert [job.id for job in page.jobs] == meant, status
                count = await calls.call(ops.COUNT_JOBS, ops.CountQuery(status=status))
                assert count.value.count == len(meant)
                assert page.waiting == 2

    async def test_workflow_then_the_jobs_around_one_and_how_they_are(self) -> None:
        async with self.calls() as calls:
            lease = await calls.held("a")
            later = SubmitRequest(job_id="d", type="", run_at=LATER, after=["b"])
            await _submit(calls, _job("b", "a"), _job("c", "a", "b"), later, _job("alone"))
            await calls.call(ops.COMPLETE, calls.done(lease), job_id="a")
            found: Workflow = (await calls.call(ops.GET_WORKFLOW, job_id="b")).value
            shown = {job.id: (job.type, job.status, job.waits, job.run_at) for job in found.jobs}
            assert found.jobs[0].id == "b"
            assert shown == {
                "a": ("", "completed", False, None),
                "b": ("t", "unclaimed", False, None),
                "c": ("t", "unclaimed", True, None),
                "d": ("", "unclaimed", True, LATER),
            }
            assert sorted(map(_pair, found.edges)) == [
                ("a", "b"),
                ("a", "c"),
                ("b", "c"),
                ("b", "d"),
            ]
            assert not found.more

    async def test_workflow_of_a_job_without_any_then_itself_alone(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a")
            found = (await calls.call(ops.GET_WORKFLOW, job_id="a")).value
            assert ([job.id for job in found.jobs], found.edges) == (["a"], [])
            call = calls.call(ops.GET_WORKFLOW, job_id="none")
            error = await expect_error(JobNotFoundError, call)
            assert (error.status, error.method) == (404, "getWorkflow")


def _job(job_id: str, *after: str) -> SubmitRequest:
    return SubmitRequest(job_id=job_id, type="t", after=[*after])


def _pair(edge: WorkflowEdge) -> tuple[str, str]:
    return edge.parent, edge.child


async def _submit(calls: Calls, *jobs: SubmitRequest) -> None:
    await calls.call(ops.SUBMIT_BATCH, SubmitBatchRequest([*jobs]))
