"""Claiming: one long poll at a time, for as many jobs as there are free slots."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from osqueue.client.models import Job
from osqueue.worker.context import WorkerContext

__all__ = ["Claims"]


class Claims:
    """Fills free slots. ``begin`` starts a job, ``give_back`` releases one."""

    def __init__(
        self,
        context: WorkerContext,
        types: list[str],
        *,
        begin: Callable[[Job], None],
        give_back: Callable[[Job], None],
    ) -> None:
        self._context = context
        self._types = types
        self._begin = begin
        self._give_back = give_back
        self._persistence = context.persistence("claiming jobs")

    async def run(self) -> NoReturn:
        """Claim until cancelled. Jobs that a cancelled claim still brings are given back."""
        context = self._context
        clock = context.client.runtime.clock
        while True:
            await context.changes.until(lambda: context.book.free > 0)
            started_ms = clock.mono_ms()
            if not await self._fill():
                await self._rest(clock.mono_ms() - started_ms)

    async def _fill(self) -> bool:
        """One claim, until it is answered; answers whether it brought anything."""
        book = self._context.book
        asked = book.ask()
        claim_id = self._context.client.runtime.entropy.token()
        jobs: list[Job] = []
        try:
            jobs = await self._persistence.until_done(lambda: self._claim(asked, claim_id))
        finally:
            begun = book.answered(asked, jobs)
        for job in begun:
            self._begin(job)
        for surplus in jobs:
            if surplus not in begun:
                self._give_back(surplus)
        return bool(jobs)

    async def _claim(self, asked: int, claim_id: str) -> list[Job]:
        context = self._context
        request = asyncio.ensure_future(
            context.client.claim_jobs(
                context.worker_id,
                self._types,
                max_jobs=asked,
                wait_ms=context.settings.wait_ms,
                claim_id=claim_id,
            )
        )
        try:
            return await asyncio.shield(request)
        except asyncio.CancelledError:
            for job in await _abandoned(request):
                self._give_back(job)
            raise

    async def _rest(self, gone_ms: int) -> None:
        """After an empty answer: a broker that does not wait is not asked in a tight loop."""
        pause_ms = self._context.settings.poll_ms - gone_ms
        if pause_ms > 0:
            await self._context.client.runtime.sleep(pause_ms / 1_000)


async def _abandoned(request: asyncio.Future[list[Job]]) -> list[Job]:
    """Cancel a claim, so that the broker learns of it; answers what it brought all the same."""
    request.cancel()
    await asyncio.wait({request})
    return [] if request.cancelled() or request.exception() else request.result()
