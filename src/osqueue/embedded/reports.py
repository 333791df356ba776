"""Says what became of a job: completed, failed, or given back.

A report that has begun is made, also when its caller goes away meanwhile: the work it tells of was
done. Closing waits for the reports under way, but not for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from msgspec import UNSET

from osqueue.client.client import OsqueueClient
from osqueue.client.failures import pause_ms
from osqueue.client.models import JobError
from osqueue.embedded.hold import Hold, Stage
from osqueue.embedded.keeper import Keeper
from osqueue.errors import Discard, JobNotFoundError, LeaseLostError, OsqueueError, Retry

__all__ = ["Reports"]

logger = logging.getLogger("osqueue.embedded")


class Reports:
    """Ends holds. Each method raises `LeaseLostError` when there is nothing to end any more."""

    def __init__(self, client: OsqueueClient, keeper: Keeper) -> None:
        self._client = client
        self._keeper = keeper
        self._under_way: set[asyncio.Task[None]] = set()

    def completing(self, hold: Hold, result: object = UNSET) -> asyncio.Task[None]:
        """The job is done; the task ends when that is durable."""
        return self._report(
            hold, Stage.COMPLETED, lambda: self._client.complete_job(hold.job, result)
        )

    async def complete(self, hold: Hold, result: object = UNSET) -> None:
        """The job is done."""
        await asyncio.shield(self.completing(hold, result))

    async def fail(
        self,
        hold: Hold,
        error: BaseException | JobError | str,
        *,
        retry: bool = True,
        delay_ms: int | None = None,
    ) -> None:
        """The attempt has failed."""
        await asyncio.shield(self._failing(hold, error, retry=retry, delay_ms=delay_ms))

    async def release(self, hold: Hold) -> None:
        """The job is given back, as if it had not been claimed."""
        await asyncio.shield(self._releasing(hold))

    def give_back(self, holds: Iterable[Hold], error: BaseException | None = None) -> None:
        """In the background: fail what is held with ``error``, or else release it."""
        for hold in holds:
            if hold.stage in {Stage.OPEN, Stage.LEFT}:
                hold.stage = Stage.OPEN
                hold.cancelled.set()
                _ = self._releasing(hold) if error is None else self._failing(hold, error)

    def refuse(self, hold: Hold, error: Exception) -> None:
        """In the background: the attempt has failed for good."""
        self._failing(hold, error, retry=False)

    async def settle(self, most_s: float | None = None) -> None:
        """Wait for what is under way. What takes longer than ``most_s`` is given up."""
        if self._under_way:
            _, late = await asyncio.wait(set(self._under_way), timeout=most_s)
            for report in late:
                report.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _failing(
        self,
        hold: Hold,
        error: BaseException | JobError | str,
        *,
        retry: bool = True,
        delay_ms: int | None = None,
    ) -> asyncio.Task[None]:
        if isinstance(error, Discard):
            retry = False
        if isinstance(error, Retry) and (asked_ms := pause_ms(error)) is not None:
            delay_ms = asked_ms
        return self._report(
            hold,
            Stage.FAILED,
            lambda: self._client.fail_job(hold.job, error, retry=retry, delay_ms=delay_ms),
        )

    def _releasing(self, hold: Hold) -> asyncio.Task[None]:
        return self._report(hold, Stage.RELEASED, lambda: self._client.release_job(hold.job))

    def _report(
        self, hold: Hold, stage: Stage, report: Callable[[], Coroutine[Any, Any, None]]
    ) -> asyncio.Task[None]:
        hold.expect_open()
        hold.stage = Stage.REPORTING
        task = asyncio.get_running_loop().create_task(
            self._make(hold, stage, report), name=f"osqueue {stage.value} {hold.job.job_id}"
        )
        self._under_way.add(task)
        task.add_done_callback(self._made)
        return task

    async def _make(self, hold: Hold, stage: Stage, report: Callable[[], Awaitable[None]]) -> None:
        try:
            await report()
        except (LeaseLostError, JobNotFoundError):
            self._keeper.drop(hold)
            hold.cancelled.set()
            hold.end(Stage.LOST)
            raise
        except BaseException:
            if hold.stage is Stage.REPORTING:  # nothing was lost meanwhile
                hold.stage = Stage.OPEN
            raise
        self._keeper.drop(hold)
        hold.end(stage)

    def _made(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, OsqueueError):
            logger.warning("%s: not reported: %s", task.get_name().removeprefix("osqueue "), error)
