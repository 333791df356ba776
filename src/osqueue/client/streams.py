"""Jobs as they come: what a client makes of the broker's stream of them.

A stream is not begun again by itself: what happened in between would be missing without a word. It
ends by the error that says why, and whoever reads it begins anew.

Laws: whatever has come is here at once, not in a buffer on the way; a job that is here and not yet
taken is kept by heartbeats, and released at the end; one that is lost meanwhile is not handed out,
and its credit is given back.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import msgspec

from osqueue.client.caller import Caller
from osqueue.client.models import Job, job_from_claim
from osqueue.client.requests import chunks, heartbeat_refs
from osqueue.client.results import batch_results
from osqueue.errors import JobNotFoundError, OsqueueError
from osqueue.wire.messages import (
    CreditRequest,
    HeartbeatBatchRequest,
    ReleaseRequest,
    StreamRequest,
)
from osqueue.wire.operations import ADD_CREDIT, HEARTBEAT_BATCH, RELEASE, STREAM_JOBS

__all__ = ["KEEP_EVERY_S", "job_stream"]

_log = logging.getLogger(__name__)

KEEP_EVERY_S: Final = 5.0
"""How often jobs that wait here are kept: a sixth of the lease time-out, as by a worker."""

RELEASES_MAX: Final = 100
"""Most releases under way at the end: as many as a client has connections."""


async def job_stream(caller: Caller, request: StreamRequest) -> AsyncGenerator[Job, None]:
    """Jobs one by one. Credit for one that was taken is added when the next is asked for.

    It is added for many at once, half of all, while others are still here.
    """
    arrivals = _Arrivals(caller, request)
    try:
        while (job := await arrivals.take()) is not None:
            yield job
            await arrivals.taken(1)
    finally:
        await arrivals.close()


class _Arrivals:
    """The jobs of one stream that are here, and the tasks that bring and keep them."""

    def __init__(self, caller: Caller, request: StreamRequest) -> None:
        self._caller = caller
        self._request = request
        self._here: deque[Job] = deque()
        self._total = request.credit
        self._uncredited = 0
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read(), name="osqueue-stream-read")
        self._reading.add_done_callback(lambda _: self._news.set())
        self._keeping = asyncio.create_task(self._keep(), name="osqueue-stream-keep")

    async def take(self) -> Job | None:
        """The next one; at the end ``None``, or the error that the stream has ended by."""
        while not self._here:
            if self._reading.done():
                return self._reading.result()
            self._news.clear()
            await self._news.wait()
        return self._here.popleft()

    async def taken(self, jobs: int) -> None:
        """So many are not here any more: let others come."""
        self._total += jobs
        self._uncredited += jobs
        enough = self._here and self._uncredited * 2 <= self._request.credit
        if enough or self._reading.done():
            return
        self._uncredited = 0
        request = CreditRequest(stream_id=self._request.stream_id, total=self._total)
        try:
            await self._caller.call(ADD_CREDIT, request)
        except JobNotFoundError:
            return  # the stream is over, and says itself why

    async def close(self) -> None:
        """Bring nothing more, and give back what is here."""
        tasks = (self._reading, self._keeping)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        once = msgspec.structs.replace(self._caller.settings, retry_for_ms=0)
        caller = self._caller.with_settings(once)  # the leases run out where no broker answers
        while self._here:
            some = [self._here.popleft() for _ in range(min(RELEASES_MAX, len(self._here)))]
            await asyncio.gather(*[_give_back(caller, job) for job in some])

    async def _read(self) -> None:
        async with aclosing(self._caller.stream(STREAM_JOBS, self._request)) as answers:
            async for answer in answers:
                self._here += [job_from_claim(job, self._request.worker_id) for job in answer.jobs]
                self._news.set()

    async def _keep(self) -> None:
        while True:
            await self._caller.runtime.sleep(KEEP_EVERY_S)
            for jobs in chunks(list(self._here)):
                try:
                    await self._keep_some(list(jobs))
                except OsqueueError as error:
                    _log.info("%d jobs of a stream are not kept: %s", len(jobs), error)

    async def _keep_some(self, jobs: list[Job]) -> None:
        request = HeartbeatBatchRequest(
            worker_id=self._request.worker_id, jobs=heartbeat_refs(jobs)
        )
        answer = await self._caller.call(HEARTBEAT_BATCH, request)
        errors = batch_results(HEARTBEAT_BATCH, jobs, answer)
        lost = [job for job, error in zip(jobs, errors, strict=True) if error and job in self._here]
        for job in lost:
            self._here.remove(job)
            _log.info("job %s was lost before it was taken from its stream", job.job_id)
        if lost:
            await self.taken(len(lost))


async def _give_back(caller: Caller, job: Job) -> None:
    request = ReleaseRequest(worker_id=job.worker_id, lease=job.lease)
    try:
        await caller.call(RELEASE, request, job_id=job.job_id)
    except OsqueueError as error:
        _log.info("job %s is not released: %s", job.job_id, error)
