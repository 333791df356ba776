"""What a transport must carry of looking through a queue, and of acting on many of its jobs.

Subclass `LookContract` as `TransportContract`, and give it the same `make_transport`.
"""

from __future__ import annotations

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from osqueue.config import ArchiveSettings, BrokerSettings, QueueLimits
from osqueue.errors import BrokerProtocolError
from osqueue.testing.transport_bench import TransportBench
from osqueue.testing.transport_expectations import Calls, expect_error
from osqueue.wire import operations as ops
from osqueue.wire.messages import (
    ActionRequest,
    ClaimRequest,
    CompleteRequest,
    EndedPage,
    FailRequest,
    JobError,
    JobFilter,
    JobInfo,
    SubmitRequest,
)
from osqueue.wire.operations import CountQuery, EndedQuery, ListQuery

__all__ = ["LookContract"]

ARCHIVING = BrokerSettings(
    archive=ArchiveSettings(linger_ms=0, look_ms=1), limits=QueueLimits(dead_max=0)
)
LATER = 4_102_444_800_000


class LookContract(TransportBench):
    """The checks. Subclass it, and give it `make_transport`."""

    async def test_list_by_every_filter_then_those_that_are_meant(self) -> None:
        async with self.calls() as calls:
            await _one_in_each_place(calls)
            for query, meant in (
                (ListQuery(status="ready"), ["ready"]),
                (ListQuery(status="delayed"), ["delayed"]),
                (ListQuery(status="dead"), ["dead"]),
                (ListQuery(type="mail"), ["dead", "held"]),
                (ListQuery(text="STRASSE"), ["dead"]),
                (ListQuery(text=".*"), []),
                (ListQuery(text="ea", type=""), ["ready"]),
                (ListQuery(order="newest"), ["delayed", "ready", "held", "dead"]),
                (ListQuery(order="oldest", text=""), ["dead", "held", "ready", "delayed"]),
            ):
                page = (await calls.call(ops.LIST_JOBS, query)).value
                assert _ids(page.jobs) == meant, query

    async def test_list_the_newest_first_then_page_by_page(self) -> None:
        async with self.calls() as calls:
            await calls.submit_batch(["a", "b", "c"])
            query = ListQuery(limit=2, order="newest")
            first = (await calls.call(ops.LIST_JOBS, query)).value
            query = ListQuery(limit=2, order="newest", cursor=first.next_cursor)
            second = (await calls.call(ops.LIST_JOBS, query)).value
            assert (_ids(first.jobs), _ids(second.jobs)) == (["c", "b"], ["a"])
            other = ListQuery(limit=2, cursor=first.next_cursor)
            error = await expect_error(BrokerProtocolError, calls.call(ops.LIST_JOBS, other))
            assert error.status == 400

    async def test_list_without_payloads_then_only_those_are_left_out(self) -> None:
        async with self.calls(settings=ARCHIVING) as calls:
            for job_id in ("ended", "queued"):
                payload = Raw(b'{"n":1}')
                request = SubmitRequest(payload=payload, type="t", job_id=job_id, keep_result=True)
                await calls.call(ops.SUBMIT, request)
            (job,) = await calls.claim()
            done = CompleteRequest(worker_id="w", lease=job.lease, result=Raw(b"[2]"))
            await calls.call(ops.COMPLETE, done, job_id="ended")
            for operation, query in (
                (ops.LIST_JOBS, ListQuery(payloads=False)),
                (ops.LIST_ENDED, EndedQuery(payloads=False)),
            ):
                (shown,) = (await calls.call(operation, query)).value.jobs
                assert (shown.type, shown.keep_result, shown.payload_hidden) == ("t", True, False)
                assert _nothing(shown.payload), operation.name
                assert _nothing(shown.result), operation.name
            (whole,) = (await calls.call(ops.LIST_JOBS, ListQuery())).value.jobs
            assert bytes(whole.payload) == b'{"n":1}'
            (whole,) = (await calls.call(ops.LIST_ENDED, EndedQuery())).value.jobs
            assert bytes(whole.result) == b"[2]"

    async def test_count_then_as_many_as_are_meant(self) -> None:
        async with self.calls() as calls:
            await _one_in_each_place(calls)
            for query, count in (
                (CountQuery(), 4),
                (CountQuery(status="dead"), 1),
                (CountQuery(type="mail", consistent=True), 2),
                (CountQuery(text="no such text"), 0),
            ):
                answer = (await calls.call(ops.COUNT_JOBS, query)).value
                assert (answer.count, answer.at_least) == (count, False), query

    async def test_act_on_jobs_then_done_to_each_that_is_meant(self) -> None:
        async with self.calls() as calls:
            await _one_in_each_place(calls)
            retry = ActionRequest(action="retry", filter=JobFilter(text="straße"))
            answer = (await calls.call(ops.ACT_ON_JOBS, retry)).value
            assert (answer.done, answer.failed, answer.left) == (1, [], False)
            assert (await calls.job("dead")).status == "unclaimed"
            ids = ["ready", "none", "held"]
            cancel = ActionRequest(
                action="cancel", job_ids=ids, filter=JobFilter(status="in_progress"), max=3
            )
            answer = (await calls.call(ops.ACT_ON_JOBS, cancel)).value
            assert (answer.done, answer.skipped) == (1, 2)
            answer = (
                await calls.call(ops.ACT_ON_JOBS, ActionRequest(action="cancel", job_ids=ids))
            ).value
            assert answer.done == 2
            (failed,) = answer.failed
            assert (failed.job_id, failed.error.tag) == ("none", "JobNotFoundError")

    async def test_act_on_jobs_that_wait_then_they_come_in_another_order(self) -> None:
        async with self.calls() as calls:
            await calls.submit_batch(["a", "b", "c"])
            request = ActionRequest(action="setPriority", priority=-3, job_ids=["c", "none"])
            answer = (await calls.call(ops.ACT_ON_JOBS, request)).value
            assert (answer.done, [each.job_id for each in answer.failed]) == (1, ["none"])
            assert [job.job_id for job in await calls.claim(max_jobs=3)] == ["c", "a", "b"]
            answer = (await calls.call(ops.ACT_ON_JOBS, replace(request, priority=7))).value
            (held, none) = answer.failed
            assert (held.error.tag, none.error.tag) == ("JobStateError", "JobNotFoundError")

    async def test_act_on_jobs_that_are_too_many_then_some_are_left(self) -> None:
        async with self.calls() as calls:
            await calls.submit_batch(["a", "b", "c"])
            cancel = ActionRequest(action="cancel", filter=JobFilter(status="ready"), max=2)
            answer = (await calls.call(ops.ACT_ON_JOBS, cancel)).value
            assert (answer.done, answer.left) == (2, True)
            assert (await calls.stats()).total == 1

    async def test_act_on_all_jobs_of_a_queue_then_refused(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a")
            for request in (
                ActionRequest(action="cancel"),
                ActionRequest(action="cancel", filter=JobFilter(text="")),
            ):
                await expect_error(BrokerProtocolError, calls.call(ops.ACT_ON_JOBS, request))
            assert (await calls.stats()).total == 1

    async def test_dead_groups_then_by_their_errors(self) -> None:
        async with self.calls() as calls:
            for number in range(3):
                await _dead(calls, f"job-{number}", f"user {number} is gone")
            await _dead(calls, "other", "no")
            answer = (await calls.call(ops.LIST_DEAD_GROUPS)).value
            assert [group.message for group in answer.groups] == ["user # is gone", "no"]
            first, second = answer.groups
            assert (first.error_type, first.message, first.count) == ("E", "user # is gone", 3)
            assert (first.types, first.job_ids) == ({"mail": 3}, ["job-0", "job-1", "job-2"])
            assert (second.count, answer.total) == (1, 4)
            assert 0 < first.oldest <= first.newest

    async def test_ended_then_the_last_first_from_state_and_archive(self) -> None:
        async with self.calls(settings=ARCHIVING) as calls:
            await calls.submit_batch(["a", "b"])
            await calls.call(ops.CANCEL, job_id="a")
            await calls.call(ops.CANCEL, job_id="b")
            await _dead(calls, "c", "no")
            page = await _ended(calls, EndedQuery())
            assert [(job.id, job.status) for job in page.jobs] == [
                ("c", "dead"),
                ("b", "cancelled"),
                ("a", "cancelled"),
            ]
            assert page.damaged == []
            first = await _ended(calls, EndedQuery(limit=2))
            second = await _ended(calls, EndedQuery(limit=2, cursor=first.next_cursor))
            assert (_ids(first.jobs), _ids(second.jobs)) == (["c", "b"], ["a"])
            query = EndedQuery(status="cancelled", text="A", consistent=True)
            assert _ids((await _ended(calls, query)).jobs) == ["a"]


async def _ended(calls: Calls, query: EndedQuery) -> EndedPage:
    page: EndedPage = (await calls.call(ops.LIST_ENDED, query)).value
    return page


async def _one_in_each_place(calls: Calls) -> None:
    """Jobs named by where they are; those that were claimed are of the type `mail`."""
    await _dead(calls, "dead", "Straße 7")
    await calls.submit("held", type="mail")
    await calls.call(ops.CLAIM, ClaimRequest(worker_id="w", max=1))
    await calls.call(ops.SUBMIT, SubmitRequest(job_id="ready"))
    await calls.call(ops.SUBMIT, SubmitRequest(job_id="delayed", run_at=LATER))


async def _dead(calls: Calls, job_id: str, message: str) -> None:
    await calls.call(ops.SUBMIT, SubmitRequest(payload=Raw(b"1"), job_id=job_id, type="mail"))
    (job,) = await calls.claim()
    error = JobError(type="E", message=message)
    request = FailRequest(worker_id="w", lease=job.lease, error=error, retry=False)
    await calls.call(ops.FAIL, request, job_id=job_id)


def _nothing(value: Raw | UnsetType) -> bool:
    """Where messages tell of no value at all, they tell of null."""
    return value is UNSET or bytes(value) == b"null"


def _ids(jobs: list[JobInfo]) -> list[str]:
    return [job.id for job in jobs]
