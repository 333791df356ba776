"""What a transport must carry of a queue that is paused, and of jobs whose order is changed.

Subclass `QueueContract` as `TransportContract`, and give it the same `make_transport`.
"""

from __future__ import annotations

import asyncio
from typing import Final

from osqueue.config import PRIORITY_MAX
from osqueue.errors import BrokerProtocolError, JobNotFoundError, JobStateError
from osqueue.testing.transport_bench import TransportBench
from osqueue.testing.transport_expectations import Calls, expect_error, until
from osqueue.wire import operations as ops
from osqueue.wire.messages import PriorityRequest

__all__ = ["QueueContract"]

LONG_MS: Final = 10_000


class QueueContract(TransportBench):
    """The checks. Subclass it, and give it `make_transport`."""

    async def test_pause_then_claims_get_nothing_until_the_queue_is_resumed(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a")
            for _ in range(2):
                assert (await calls.call(ops.PAUSE)).value is None
            assert await calls.claim() == []
            for _ in range(2):
                assert (await calls.call(ops.RESUME)).value is None
            assert [job.job_id for job in await calls.claim()] == ["a"]

    async def test_pause_then_the_counts_say_so_for_as_long_as_it_lasts(self) -> None:
        async with self.calls() as calls:
            assert (await calls.stats()).paused is False
            await calls.call(ops.PAUSE)
            assert (await calls.stats()).paused is True
            assert (await calls.call(ops.LIST_JOBS, ops.ListQuery())).value.paused is True
            await calls.call(ops.RESUME)
            assert (await calls.stats()).paused is False
            assert (await calls.call(ops.LIST_JOBS, ops.ListQuery())).value.paused is False

    async def test_pause_while_a_claim_waits_then_it_is_served_when_the_queue_is_resumed(
        self,
    ) -> None:
        async with self.calls() as calls:
            waiting = asyncio.ensure_future(calls.claim(wait_ms=LONG_MS))
            await until(lambda: calls.waiting == 1)
            await calls.call(ops.PAUSE)
            await calls.submit("a")
            assert (calls.waiting, waiting.done()) == (1, False)
            await calls.call(ops.RESUME)
            assert [job.job_id for job in await waiting] == ["a"]

    async def test_pause_while_jobs_are_held_then_they_are_kept_and_completed(self) -> None:
        async with self.calls() as calls:
            refs = await calls.held_refs("a", "b")
            await calls.call(ops.PAUSE)
            for operation, request in calls.batches(refs):
                results = (await calls.call(operation, request)).value.results
                assert [result.error for result in results] == [None, None]

    async def test_claim_repeated_while_paused_then_it_gets_what_it_holds(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a")
            first = await calls.claim(claim_id="c")
            await calls.call(ops.PAUSE)
            assert await calls.claim(claim_id="c") == first

    async def test_priority_then_lower_ones_first_and_each_in_its_order_of_arrival(self) -> None:
        async with self.calls() as calls:
            await calls.submit_batch(["a", "b", "c", "d"])
            for job_id, priority in (("a", PRIORITY_MAX), ("d", -1), ("b", 5), ("b", 0)):
                assert (await self._prioritise(calls, job_id, priority)) is None
            assert (await calls.job("a")).priority == PRIORITY_MAX
            jobs = await calls.claim(max_jobs=4)
            assert [job.job_id for job in jobs] == ["d", "b", "c", "a"]

    async def test_priority_of_what_does_not_wait_then_refused_and_why(self) -> None:
        async with self.calls() as calls:
            lease = await calls.held("a")
            held = await expect_error(JobStateError, self._prioritise(calls, "a", 1))
            assert (held.status, "held" in held.message) == (409, True)
            assert (await self._prioritise(calls, "a", 0)) is None  # as it is: a repetition
            await calls.call(ops.COMPLETE, calls.done(lease), job_id="a")
            over = await expect_error(JobStateError, self._prioritise(calls, "a", 1))
            assert "over: completed" in over.message
            error = await expect_error(JobNotFoundError, self._prioritise(calls, "none", 1))
            assert error.status == 404

    async def test_priority_beyond_its_bounds_then_refused(self) -> None:
        async with self.calls() as calls:
            await calls.submit("a")
            beyond = self._prioritise(calls, "a", PRIORITY_MAX + 1)
            error = await expect_error(BrokerProtocolError, beyond)
            assert "priority" in error.message

    @staticmethod
    async def _prioritise(calls: Calls, job_id: str, priority: int) -> object:
        request = PriorityRequest(priority=priority)
        return (await calls.call(ops.SET_PRIORITY, request, job_id=job_id)).value
