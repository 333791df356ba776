"""A naive queue behind the transport protocol, and a time that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import msgspec
import pytest
from msgspec import Raw

from osqueue.client import OsqueueClient, Runtime
from osqueue.client.transports import Answer, Position
from osqueue.config import ClientSettings
from osqueue.errors import BrokerProtocolError, JobNotFoundError, LeaseLostError, OsqueueError
from osqueue.wire.errors import error_body
from osqueue.wire.messages import (
    BatchAnswer,
    ClaimAnswer,
    ClaimedJob,
    ClaimRequest,
    JobAnswer,
    JobRef,
)
from osqueue.wire.operations import Operation


async def eventually(true: Callable[[], object]) -> None:
    """Let everything run until ``true()``; fails when it never is."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - looks at what has no event of its own
            await asyncio.sleep(0)


async def settled() -> None:
    """Let everything run that can run without a push."""
    for _ in range(50):
        await asyncio.sleep(0)


class ManualTime:
    """A clock, and sleeps that end when a test says that time has passed."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def wall_ms(self) -> int:
        return self.now_ms

    def mono_ms(self) -> int:
        return self.now_ms

    def cpu_us(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        sleeper = (self.now_ms + seconds * 1_000, asyncio.get_running_loop().create_future())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1]
        finally:
            self._sleepers.remove(sleeper)

    def pauses_ms(self) -> list[float]:
        """How long those who sleep have yet to sleep."""
        return sorted(due - self.now_ms for due, _ in self._sleepers)

    async def pass_ms(self, ms: float) -> None:
        """Let ``ms`` pass, once somebody sleeps no longer than that."""
        await eventually(lambda: any(pause <= ms for pause in self.pauses_ms()))
        self.now_ms += round(ms)
        for due, wake in self._sleepers:
            if due <= self.now_ms and not wake.done():
                wake.set_result(None)
        await settled()


class CountingEntropy:
    def __init__(self) -> None:
        self._made = 0

    def job_id(self) -> str:
        return self.token()

    def job_ids(self, number: int) -> list[str]:
        return [self.job_id() for _ in range(number)]

    def secret(self) -> str:
        return self.token()

    def token(self) -> str:
        self._made += 1
        return f"token-{self._made}"

    def jitter(self) -> float:
        return 0.5


class Request(NamedTuple):
    name: str
    body: Any
    job_id: str | None


class NaiveQueue:
    """Jobs in lists. ``faults[name]`` are raised instead of answers, first come first served; what
    is in ``gates[name]`` is waited for before a request is looked at."""

    def __init__(self) -> None:
        self.ready: list[ClaimedJob] = []
        self.leased: dict[str, ClaimedJob] = {}
        self.completed: list[str] = []
        self.failed: list[tuple[str, Any]] = []
        self.released: list[str] = []
        self.requests: list[Request] = []
        self.faults: dict[str, list[BaseException]] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.epoch: int | None = None
        """Of the leader, if the answers say it."""
        self.generosity = 0
        self.abandoned_claims = 0
        self.waits = True
        self.ends_cancelled_claims_with: list[ClaimedJob] = []
        self.gives_to_gone: list[ClaimedJob] = []
        """What a claim is given whose caller has just gone; it comes when the claim is repeated."""
        self.unseen: dict[str | None, list[ClaimedJob]] = {}
        self._pushed = asyncio.Event()
        self._made = 0

    def push(self, payload: bytes = b"null", *, job_type: str = "t") -> str:
        self._made += 1
        self.ready.append(
            ClaimedJob(
                job_id=f"job-{self._made}",
                payload=Raw(payload),
                type=job_type,
                lease=f"lease-{self._made}",
                attempt=1,
                max_attempts=3,
                created_at=0,
                priority=0,
            )
        )
        self._pushed.set()
        return f"job-{self._made}"

    def take_back(self, job: ClaimedJob) -> None:
        """Have a job ready that was claimed before."""
        self.ready.append(job)
        self._pushed.set()

    def lose(self, job_id: str) -> ClaimedJob:
        """Let a lease run out; answers the job as it is claimed next."""
        lease = next(lease for lease, job in self.leased.items() if job.job_id == job_id)
        return msgspec.structs.replace(self.leased.pop(lease), lease=f"{lease}-again", attempt=2)

    def asked(self, name: str) -> list[Any]:
        """The bodies of the requests of one operation."""
        return [request.body for request in self.requests if request.name == name]

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        assert timeout_s > 0
        self.requests.append(Request(operation.name, request, job_id))
        if operation.name in self.gates:
            await self.gates[operation.name].wait()
        if self.faults.get(operation.name):
            raise self.faults[operation.name].pop(0)
        value = await getattr(self, f"_{operation.name}")(request, job_id)
        position = None if self.epoch is None else Position(self.epoch, len(self.requests))
        return Answer(value, position)

    async def reconnect(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        pass

    async def _claimJobs(self, request: ClaimRequest, _: str | None) -> ClaimAnswer:  # noqa: N802
        asked = request.max or 1
        if held := self.unseen.pop(request.claim_id, []):
            return ClaimAnswer(held)
        caps = request.max_by_type or {}
        if all(caps.get(each) == 0 for each in request.types or [""]):
            return ClaimAnswer([])
        try:
            while not self.ready and self.waits:
                self._pushed.clear()
                await self._pushed.wait()
        except asyncio.CancelledError:
            self.abandoned_claims += 1
            self.unseen[request.claim_id] = given = self.gives_to_gone
            self.leased |= {job.lease: job for job in given}
            if not self.ends_cancelled_claims_with:
                raise
            self.ready += self.ends_cancelled_claims_with
        asked += self.generosity
        given, self.ready = self.ready[:asked], self.ready[asked:]
        self.leased |= {job.lease: job for job in given}
        return ClaimAnswer(given)

    async def _heartbeatJobs(self, request: Any, _: str | None) -> BatchAnswer:  # noqa: N802
        _refuse_doubles(request.jobs)
        return BatchAnswer([self._answer(ref) for ref in request.jobs])

    async def _completeJobs(self, request: Any, _: str | None) -> BatchAnswer:  # noqa: N802
        _refuse_doubles(request.jobs)
        answers = [self._answer(ref) for ref in request.jobs]
        for ref, answer in zip(request.jobs, answers, strict=True):
            if answer.error is None:
                del self.leased[ref.lease]
                self.completed.append(ref.job_id)
        return BatchAnswer(answers)

    async def _announceTypes(self, _request: Any, _: str | None) -> None:  # noqa: N802
        pass

    async def _failJob(self, request: Any, job_id: str) -> None:  # noqa: N802
        self._end(request.lease)
        self.failed.append((job_id, request))

    async def _releaseJob(self, request: Any, job_id: str) -> None:  # noqa: N802
        self._end(request.lease)
        self.released.append(job_id)

    def _end(self, lease: str) -> None:
        if self.leased.pop(lease, None) is None:
            raise LeaseLostError("stale", status=409)

    def _answer(self, ref: JobRef) -> JobAnswer:
        if ref.lease in self.leased:
            return JobAnswer(job_id=ref.job_id)
        error: OsqueueError = LeaseLostError("stale") if ref.lease else JobNotFoundError("none")
        return JobAnswer(job_id=ref.job_id, error=error_body(error))


def _refuse_doubles(refs: list[JobRef]) -> None:
    if len({ref.job_id for ref in refs}) < len(refs):
        raise BrokerProtocolError("a job id twice", status=400)


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


@pytest.fixture
def queue() -> NaiveQueue:
    return NaiveQueue()


@pytest.fixture
def runtime(time: ManualTime) -> Runtime:
    return Runtime(clock=time, entropy=CountingEntropy(), sleep=time.sleep)


@pytest.fixture
async def client(queue: NaiveQueue, runtime: Runtime) -> AsyncIterator[OsqueueClient]:
    settings = ClientSettings(backoff_first_ms=50, backoff_max_ms=2_000)
    async with OsqueueClient(transport=queue, settings=settings, runtime=runtime) as client:
        yield client
