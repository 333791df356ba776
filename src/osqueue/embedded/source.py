"""Where the jobs of an embedded queue come from: claims, as jobs with a payload of their type."""

from __future__ import annotations

import asyncio
import logging
import weakref
from contextlib import suppress
from typing import Any, Generic, TypeVar

from osqueue.client.client import OsqueueClient
from osqueue.client.models import Job
from osqueue.config import WAIT_MS_MAX
from osqueue.embedded.handout import Handout, Holder
from osqueue.embedded.hold import Hold
from osqueue.embedded.job import QueueJob
from osqueue.embedded.keeper import Keeper
from osqueue.embedded.reports import Reports
from osqueue.errors import LeaseLostError, PayloadValidationError
from osqueue.jobs.schema import Schema

__all__ = ["Source"]

logger = logging.getLogger("osqueue.embedded")

T = TypeVar("T")

SETTLE_S_MAX = 10.0
"""How long closing waits for reports: as long as for a commit. Their leases run out otherwise."""

LEFT_S = 0.1
"""How long it is waited, after a loop was dropped, for the exception that did it to come out."""


class Source(Generic[T]):
    """Claims jobs of one type for one worker id."""

    def __init__(
        self,
        client: OsqueueClient,
        schema: Schema,
        *,
        job_type: str,
        worker_id: str,
        interval_ms: int,
    ) -> None:
        self.client = client
        self._schema = schema
        self._types = [job_type]
        self._worker_id = worker_id
        self.keeper = Keeper(client, worker_id, interval_ms=interval_ms)
        self.reports = Reports(client, self.keeper)
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._handouts: set[Handout[T]] = set()
        self._claims: set[asyncio.Task[Any]] = set()

    async def claim(
        self, most: int, *, wait_ms: int, changed: asyncio.Event | None = None
    ) -> list[QueueJob[T]]:
        """One claim. What has no payload of the type has failed for good, and is not answered."""
        jobs = await self.client.claim_jobs(
            self._worker_id, self._types, max_jobs=most, wait_ms=wait_ms
        )
        read = [self._read(job, changed) for job in jobs]
        return [job for job in read if job is not None]

    def claiming(self, handout: Handout[T]) -> asyncio.Task[list[QueueJob[T]]]:
        """Wait for jobs for a loop, for as long as it takes; they are kept from then on."""
        task = self._loop.create_task(self._claim_for(handout), name="osqueue claim")
        self._claims.add(task)
        task.add_done_callback(self._claims.discard)
        return task

    def begin(self, handout: Handout[T]) -> None:
        """A loop has begun."""
        self._handouts.add(handout)

    def end(self, handout: Handout[T], error: BaseException | None) -> None:
        """A loop is over, by this."""
        if handout in self._handouts:
            self._handouts.discard(handout)
            handout.give_back(self.reports, error)

    def watch(self, job: QueueJob[T]) -> None:
        """Give a job back when nobody has it any more."""
        hold = job.hold
        hold.watch = weakref.ref(job, lambda _: self._orphaned(hold))

    def drop(self, handout: Handout[T]) -> None:
        """A loop was dropped, in any thread."""
        handout.leave()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._loop.call_later, LEFT_S, self._dropped, handout)

    async def close(self, holder: Holder, error: BaseException | None) -> None:
        """End all loops; ``holder`` is left by ``error``."""
        self.closed = True
        for handout in list(self._handouts):
            self.end(handout, handout.error_of(holder, error))
        for hold in self.keeper.kept:
            self._withdraw(hold)
        claims = list(self._claims)
        for claim in claims:
            claim.cancel()
        await asyncio.gather(*claims, return_exceptions=True)
        await self.reports.settle(SETTLE_S_MAX)

    def _withdraw(self, hold: Hold) -> None:
        """Give back a job, and tell whoever is inside of it."""
        if hold.entered and hold.is_open:
            closed = f"job {hold.job.job_id} was given back: its queue was closed meanwhile"
            hold.interrupt(LeaseLostError(closed))
        self.reports.give_back([hold])

    def _orphaned(self, hold: Hold) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self.reports.give_back, [hold])

    def _dropped(self, handout: Handout[T]) -> None:
        self.end(handout, handout.error_of(0, None))

    async def _claim_for(self, handout: Handout[T]) -> list[QueueJob[T]]:
        jobs: list[QueueJob[T]] = []
        while not jobs:
            jobs = await self.claim(handout.free, wait_ms=WAIT_MS_MAX, changed=handout.changed)
        if self.closed:
            self.reports.give_back([job.hold for job in jobs])
            raise asyncio.CancelledError
        for job in jobs:
            self.keeper.keep(job.hold)
        return jobs

    def _read(self, job: Job, changed: asyncio.Event | None) -> QueueJob[T] | None:
        hold = Hold(job, changed)
        try:
            payload: T = self._schema.decode(job.raw_payload)
        except PayloadValidationError as error:
            logger.warning("job %s: failed for good: %s", job.job_id, error)
            self.reports.refuse(hold, error)
            return None
        return QueueJob(hold, payload, keeper=self.keeper, reports=self.reports)
