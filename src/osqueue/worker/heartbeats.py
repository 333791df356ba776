"""Heartbeats: one request per interval for all the jobs that a worker holds.

The list is made anew for each try, so none is ever stale by more than one request's time-out,
which is one interval: the broker allows two before it takes a job that the list leaves out for an
orphan. What handlers say of their progress goes along, and makes the next one come sooner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import NoReturn

from osqueue.client.models import Job, Progress
from osqueue.errors import (
    JobNotFoundError,
    LeaseLostError,
    OsqueueError,
    TransportConnectionError,
)
from osqueue.worker.context import WorkerContext
from osqueue.worker.progress import ProgressBoard

__all__ = ["Heartbeats"]


class Heartbeats:
    """Keeps leases, and tells ``lost`` of those that the broker no longer knows.

    ``sent`` is called with each request, and what it answers is called when that is answered.
    """

    def __init__(
        self,
        context: WorkerContext,
        *,
        names_all: bool,
        progress: ProgressBoard,
        lost: Callable[[Job], None],
        sent: Callable[[], Callable[[], None]],
    ) -> None:
        self._context = context
        self._names_all = names_all
        self._progress = progress
        self._lost = lost
        self._sent = sent
        self._interval_s = context.settings.heartbeat_interval_ms / 1_000
        self._persistence = context.persistence("keeping leases")

    async def run(self) -> NoReturn:
        """Beat until cancelled; nothing is sent while nothing is held."""
        context = self._context
        while True:
            await context.changes.until(lambda: context.book.holds_any)
            await self._pause()
            await self._persistence.until_done(self._beat)

    async def _pause(self) -> None:
        """One interval, or less if there is progress to tell."""
        sleep = self._context.client.runtime.sleep
        waits = {
            asyncio.ensure_future(sleep(self._interval_s)),
            asyncio.ensure_future(self._progress_due()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def _progress_due(self) -> None:
        await self._progress.told.wait()
        await self._context.client.runtime.sleep(self._context.settings.progress_ms / 1_000)

    async def _beat(self) -> None:
        held = self._context.book.held()
        if not held:
            return
        progress, answered = self._progress.take(), self._sent()
        try:
            results = await self._answers(held, progress)
        except BaseException:
            self._progress.put_back()
            raise
        answered()
        for job, result in zip(held, results, strict=True):
            if isinstance(result, LeaseLostError | JobNotFoundError):
                self._lost(job)

    async def _answers(
        self, held: list[Job], progress: Mapping[str, Progress]
    ) -> list[OsqueueError | None]:
        context = self._context
        try:
            async with asyncio.timeout(self._interval_s):
                return await context.introduction.with_it(
                    lambda worker: context.client.heartbeat_jobs(
                        context.worker_id,
                        held,
                        all_held=self._names_all,
                        progress=progress,
                        worker=worker,
                    )
                )
        except TimeoutError as error:
            raise TransportConnectionError(
                f"no answer to a heartbeat within {self._interval_s:g} s"
            ) from error
