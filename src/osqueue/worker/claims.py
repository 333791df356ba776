"""Claiming: one long poll at a time, for as many jobs as there is room for.

A claim that waits may have left out a type whose limit was reached. When there is room for that
type again, the claim is given up and made anew; but only once it is known to wait: one that is
about to bring jobs is left alone. If it was answered all the same, on its way past that, the next
one is given those jobs: it goes by the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from osqueue.client.models import Job
from osqueue.errors import OsqueueError
from osqueue.worker.context import WorkerContext
from osqueue.worker.leases import Ask

__all__ = ["Claims"]


class Claims:
    """Fills what is free in the book; ``give_back`` releases a job that is not wanted."""

    def __init__(
        self,
        context: WorkerContext,
        types: Iterable[str],
        *,
        give_back: Callable[[Job], None],
    ) -> None:
        self._context = context
        self._types = list(types)
        self._give_back = give_back
        self._persistence = context.persistence("claiming jobs")
        self._round: asyncio.Task[None] | None = None
        self._rounds = 0
        self._ask: Ask | None = None
        """What the claim that is under way may bring."""
        self._waits = False
        """Whether that claim is known to wait for jobs."""
        self._claim_id: str | None = None
        """Of a claim whose answer has not been seen."""
        self._stopped = False

    def turn(self) -> bool:
        """Claim, if there is room and no claim is under way; answers whether one is sent."""
        if self._round is not None:
            if self._waits and self._ask is not None and self._context.book.outgrown(self._ask):
                self._waits = False
                self._round.cancel()
        elif not self._stopped and self._context.book.free > 0:
            self._rounds += 1
            self._round = asyncio.create_task(self._claim(), name="osqueue-claim")
            return True
        return False

    def sent(self) -> Callable[[], None]:
        """Another request is sent. To be called when it is answered: if the claim that was sent
        before it is not answered by then, it waits.
        """
        number = self._rounds

        def answered() -> None:
            if number == self._rounds and self._ask is not None and not self._waits:
                self._waits = True
                self._context.changes.tell()

        return answered

    async def stop(self) -> None:
        """Claim no more. What a claim still brings is given back, also one whose answer is lost."""
        self._stopped = True
        if self._round is not None:
            self._round.cancel()
            await asyncio.wait({self._round})
        if self._claim_id is not None:
            await self._give_back_unseen(self._claim_id)

    async def _give_back_unseen(self, claim_id: str) -> None:
        """Ask once what a claim has brought, by repeating it in a way that brings nothing new."""
        context, nothing = self._context, dict.fromkeys(self._types, 0)
        with suppress(OsqueueError, TimeoutError):
            async with asyncio.timeout(context.settings.hurry_ms / 1_000):
                for job in await context.client.claim_jobs(
                    context.worker_id,
                    self._types,
                    max_jobs=1,
                    claim_id=claim_id,
                    max_by_type=nothing,
                ):
                    self._give_back(job)

    async def _claim(self) -> None:
        """One claim, until it is answered; after an empty answer, a pause."""
        clock = self._context.client.runtime.clock
        started_ms = clock.mono_ms()
        ask = self._ask = self._context.book.ask()
        jobs: list[Job] = []
        try:
            jobs = await self._brought(ask)
            if not jobs:
                await self._rest(clock.mono_ms() - started_ms)
        finally:
            self._ask, self._waits, self._round = None, False, None
            self._take(ask, jobs)

    async def _brought(self, ask: Ask) -> list[Job]:
        """What the claim brings."""
        context = self._context
        claim_id = self._claim_id = self._claim_id or context.client.runtime.entropy.token()
        jobs = await self._persistence.until_done(
            lambda: context.introduction.with_it(
                lambda worker: context.client.claim_jobs(
                    context.worker_id,
                    self._types,
                    max_jobs=ask.count,
                    wait_ms=context.settings.wait_ms,
                    claim_id=claim_id,
                    max_by_type=ask.by_type or None,
                    worker=worker,
                )
            )
        )
        self._claim_id = None
        return jobs

    def _take(self, ask: Ask, jobs: list[Job]) -> None:
        """A claim that was cancelled may bring jobs all the same."""
        unwanted = self._context.book.answered(ask, [] if self._stopped else jobs)
        for job in jobs if self._stopped else unwanted:
            self._give_back(job)
        self._context.changes.tell()

    async def _rest(self, gone_ms: int) -> None:
        """After an empty answer: a broker that does not wait is not asked in a tight loop."""
        pause_ms = self._context.settings.poll_ms - gone_ms
        if pause_ms > 0:
            await self._context.client.runtime.sleep(pause_ms / 1_000)
