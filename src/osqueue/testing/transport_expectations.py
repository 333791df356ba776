"""What the checks of a transport are made of: calls in few words, and expectations.

Plain functions that raise `AssertionError`, so that they work under any test runner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Raw, UnsetType

from osqueue.client.transports.protocol import Answer, QueueTransportAdapter
from osqueue.errors import OsqueueError
from osqueue.wire import operations as ops
from osqueue.wire.messages import (
    ClaimedJob,
    ClaimRequest,
    CompleteBatchRequest,
    CompleteRef,
    CompleteRequest,
    FailRequest,
    HeartbeatBatchRequest,
    HeartbeatRef,
    JobError,
    JobInfo,
    LeaseRequest,
    Stats,
    SubmitBatchRequest,
    SubmitRequest,
)
from osqueue.wire.operations import Operation

if TYPE_CHECKING:  # it needs the packages of a broker
    from osqueue.app import BrokerServer

__all__ = ["PATIENCE_S", "Calls", "expect_error", "text_of", "until"]

ErrorT = TypeVar("ErrorT", bound=OsqueueError)

PATIENCE_S = 20.0
"""How long something may take that is bound to happen; a check never waits for a time to pass."""

WORKER = "w"


class Calls:
    """Calls of one transport to one broker."""

    def __init__(self, transport: QueueTransportAdapter, broker: BrokerServer) -> None:
        self.transport = transport
        self.broker = broker

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float = PATIENCE_S,
    ) -> Answer:
        return await self.transport.call(operation, request, job_id=job_id, timeout_s=timeout_s)

    @property
    def waiting(self) -> int:
        """How many claims wait at the broker."""
        return self.broker.waiting_claims

    async def submit(self, job_id: str, payload: bytes = b"null", *, type: str = "t") -> str:  # noqa: A002
        request = SubmitRequest(payload=Raw(payload), type=type, job_id=job_id)
        answer: str = (await self.call(ops.SUBMIT, request)).value.job_id
        return answer

    @staticmethod
    def batch(ids: Sequence[str]) -> SubmitBatchRequest:
        return SubmitBatchRequest([SubmitRequest(payload=Raw(b"1"), job_id=each) for each in ids])

    async def submit_batch(self, ids: Sequence[str]) -> list[str]:
        answer: list[str] = (await self.call(ops.SUBMIT_BATCH, self.batch(ids))).value.job_ids
        return answer

    async def claim(
        self,
        worker_id: str = WORKER,
        *,
        max_jobs: int = 1,
        types: list[str] | None = None,
        wait_ms: int = 0,
        claim_id: str | None = None,
        timeout_s: float = PATIENCE_S,
    ) -> list[ClaimedJob]:
        request = ClaimRequest(
            worker_id=worker_id, types=types, max=max_jobs, wait_ms=wait_ms, claim_id=claim_id
        )
        answer = await self.call(ops.CLAIM, request, timeout_s=timeout_s)
        jobs: list[ClaimedJob] = answer.value.jobs
        return jobs

    async def held(self, job_id: str) -> LeaseRequest:
        """A job that is submitted and claimed: its lease."""
        (ref,) = await self.held_refs(job_id)
        return LeaseRequest(worker_id=WORKER, lease=ref.lease)

    @staticmethod
    def done(lease: LeaseRequest) -> CompleteRequest:
        """Reports the job of a lease as done."""
        return CompleteRequest(worker_id=lease.worker_id, lease=lease.lease)

    async def held_refs(self, *ids: str) -> list[CompleteRef]:
        await self.submit_batch(ids)
        jobs = await self.claim(max_jobs=len(ids))
        return [self.ref(job.job_id, job.lease) for job in jobs]

    @staticmethod
    def lease(worker_id: str, lease: str) -> LeaseRequest:
        return LeaseRequest(worker_id=worker_id, lease=lease)

    @staticmethod
    def ref(job_id: str, lease: str) -> CompleteRef:
        return CompleteRef(job_id=job_id, lease=lease)

    @staticmethod
    def batches(refs: list[CompleteRef]) -> Iterator[tuple[Operation, msgspec.Struct]]:
        """What is done for many leases at once, in an order that makes sense."""
        renewed = [HeartbeatRef(job_id=ref.job_id, lease=ref.lease) for ref in refs]
        yield ops.HEARTBEAT_BATCH, HeartbeatBatchRequest(worker_id=WORKER, jobs=renewed)
        yield ops.COMPLETE_BATCH, CompleteBatchRequest(worker_id=WORKER, jobs=refs)

    @staticmethod
    def failure(lease: LeaseRequest, error: JobError, *, retry: bool) -> FailRequest:
        return FailRequest(worker_id=lease.worker_id, lease=lease.lease, error=error, retry=retry)

    @staticmethod
    def reads(job_id: str) -> Iterator[tuple[Operation, str | None]]:
        """Every read of the queue, and the job that it is about."""
        for operation in ops.OPERATIONS:
            if operation.request is not None and issubclass(operation.request, ops.ReadQuery):
                yield operation, job_id if operation.on_one_job else None

    async def job(self, job_id: str) -> JobInfo:
        answer: JobInfo = (await self.call(ops.GET_JOB, job_id=job_id)).value
        return answer

    async def stats(self) -> Stats:
        answer: Stats = (await self.call(ops.GET_STATS)).value
        return answer


async def expect_error(cls: type[ErrorT], call: Awaitable[Any]) -> ErrorT:
    """The error that ``call`` must raise, of exactly this class."""
    try:
        answer = await call
    except cls as error:
        if type(error) is cls:
            return error
        raise
    raise AssertionError(f"{answer!r} instead of {cls.__name__}")


def text_of(payload: Raw | UnsetType) -> bytes:
    """The JSON text of a payload that must be there."""
    assert not isinstance(payload, UnsetType), "there is a payload"
    return bytes(payload)


async def until(true: Callable[[], object]) -> None:
    """Let everything run until ``true()``; fails when it never is."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - looks at what has no event of its own
            await asyncio.sleep(0)
