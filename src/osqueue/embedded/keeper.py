"""Keeps leases: one request per interval for all the jobs that are worked on.

A job is kept from the moment it is handed to a loop, or entered by ``with job``, until its report
has been taken. What is claimed and not entered is its owner's to keep.
"""

from __future__ import annotations

import asyncio
import logging

from osqueue.client.client import OsqueueClient
from osqueue.embedded.hold import Hold, Stage
from osqueue.errors import JobNotFoundError, LeaseLostError, OsqueueError

__all__ = ["Keeper"]

logger = logging.getLogger("osqueue.embedded")


class Keeper:
    """The heartbeats of one worker id, while anything is kept."""

    def __init__(self, client: OsqueueClient, worker_id: str, *, interval_ms: int) -> None:
        self._client = client
        self._worker_id = worker_id
        self._interval_s = interval_ms / 1_000
        self._kept: dict[str, Hold] = {}
        self._beating: asyncio.Task[None] | None = None

    @property
    def kept(self) -> list[Hold]:
        """What is kept now."""
        return list(self._kept.values())

    def keep(self, hold: Hold) -> None:
        """Keep a lease from now on."""
        self._kept[hold.job.lease] = hold
        if self._beating is None:
            self._beating = asyncio.get_running_loop().create_task(
                self._run(), name="osqueue heartbeats"
            )

    def drop(self, hold: Hold) -> None:
        """Keep it no longer."""
        self._kept.pop(hold.job.lease, None)

    async def close(self) -> None:
        """End the heartbeats."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait({self._beating})
        self._kept.clear()

    async def _run(self) -> None:
        while True:
            await self._client.runtime.sleep(self._interval_s)
            if self._kept:
                try:
                    await self._beat(self.kept)
                except Exception:
                    logger.exception("keeping leases failed inside; they are kept on")

    async def _beat(self, kept: list[Hold]) -> None:
        """A beat that fails is made up for by the next: a lease outlives several."""
        try:
            jobs = [hold.job for hold in kept]
            results = await self._client.heartbeat_jobs(self._worker_id, jobs)
        except OsqueueError as error:
            logger.warning("the leases of %d jobs could not be renewed: %s", len(kept), error)
            return
        for hold, result in zip(kept, results, strict=True):
            gone = isinstance(result, LeaseLostError | JobNotFoundError)
            if gone and hold.stage is not Stage.REPORTING:  # or the report was quicker
                self.drop(hold)
                hold.lose()
