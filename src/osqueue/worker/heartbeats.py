"""Heartbeats: one request per interval for all the jobs that a worker holds.

The list is made anew for each try, so none is ever stale by more than one request's time-out,
which is one interval: the broker allows two before it takes a job that the list leaves out for an
orphan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from osqueue.client.models import Job
from osqueue.errors import JobNotFoundError, LeaseLostError, TransportConnectionError
from osqueue.worker.context import WorkerContext

__all__ = ["Heartbeats"]


class Heartbeats:
    """Keeps leases, and tells ``lost`` of those that the broker no longer knows."""

    def __init__(
        self, context: WorkerContext, *, names_all: bool, lost: Callable[[Job], None]
    ) -> None:
        self._context = context
        self._names_all = names_all
        self._lost = lost
        self._interval_s = context.settings.heartbeat_interval_ms / 1_000
        self._persistence = context.persistence("keeping leases")

    async def run(self) -> NoReturn:
        """Beat until cancelled; nothing is sent while nothing is held."""
        context = self._context
        while True:
            await context.changes.until(lambda: context.book.holds_any)
            await context.client.runtime.sleep(self._interval_s)
            await self._persistence.until_done(self._beat)

    async def _beat(self) -> None:
        held = self._context.book.held()
        if not held:
            return
        try:
            async with asyncio.timeout(self._interval_s):
                results = await self._context.client.heartbeat_jobs(
                    self._context.worker_id, held, all_held=self._names_all
                )
        except TimeoutError as error:
            raise TransportConnectionError(
                f"no answer to a heartbeat within {self._interval_s:g} s"
            ) from error
        for job, result in zip(held, results, strict=True):
            if isinstance(result, LeaseLostError | JobNotFoundError):
                self._lost(job)
