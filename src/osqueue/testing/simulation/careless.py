"""Those who claim by hand, and do it badly: they are late, say things twice, and forget.

A lease that has gone ends nothing; what was said with it once and is said again gets the answer
that it got the first time, for as long as brokers remember.
"""

from __future__ import annotations

import asyncio
from typing import Final

from osqueue.client.client import OsqueueClient
from osqueue.client.models import Job
from osqueue.config import QueueLimits
from osqueue.errors import JobNotFoundError, LeaseLostError, OsqueueError
from osqueue.testing.simulation.clients import TYPES, User
from osqueue.testing.simulation.dice import Dice
from osqueue.testing.simulation.exchange import Exchange
from osqueue.testing.simulation.laws import expect
from osqueue.testing.simulation.process import SimulatedProcess
from osqueue.wire import operations as ops

__all__ = ["Careless", "Repeated"]

EVERY_S: Final = 6.0
"""About how often one claims."""

AT_ONCE: Final = 60
"""How many claims it is at, at most: of one that is answered by nobody, for minutes."""

LATE_S: Final = (31.0, 45.0)
"""How late one who is late is: beyond the time-out of a lease."""

REMEMBERED_US: Final = int(QueueLimits().dedupe_window_ms * 1_000 * 0.9)
"""For how long an end is remembered, at least: a broker's clock may go faster than the world's."""

_ENDS: Final = frozenset({ops.COMPLETE.name, ops.FAIL.name, ops.RELEASE.name})


class Careless(User):
    """Claims jobs under ids of its own, and mishandles them; several at a time."""

    at_once = AT_ONCE

    def _every_s(self) -> float:
        return EVERY_S

    async def _main(self, process: SimulatedProcess) -> None:
        client = self._client(process)
        async with asyncio.TaskGroup() as group:
            while self.working:
                group.create_task(self._once(client))
                await asyncio.sleep(self.dice.about(EVERY_S))

    async def _once(self, client: OsqueueClient) -> None:
        try:
            await self._act(client)
        except OsqueueError as error:
            name = type(error).__name__
            self.world.trace.note(self.process.name, "told %s: %s", name, str(error))

    async def _act(self, client: OsqueueClient) -> None:
        fresh = self.process.entropy.token
        worker_id, claim_id = f"careless-{fresh()}", fresh()
        number, wait_ms = self.dice.whole(1, 2), self.dice.pick((0, 0, 2_000))

        async def claim() -> list[Job]:
            return await client.claim_jobs(
                worker_id, TYPES, max_jobs=number, wait_ms=wait_ms, claim_id=claim_id
            )

        jobs = await claim()
        if self.dice.chance(0.3):
            jobs = await claim()
        for job in jobs:
            await self._mishandle(client, job)

    async def _mishandle(self, client: OsqueueClient, job: Job) -> None:
        doing = self.dice.pick((_completes_twice, _fails_twice, _gives_back, _is_late, _forgets))
        await doing(client, job, self.dice)


async def _completes_twice(client: OsqueueClient, job: Job, dice: Dice) -> None:
    await client.complete_job(job, dice.whole(1, 9))
    await asyncio.sleep(dice.about(2.0))
    await client.complete_job(job, dice.whole(1, 9))
    await client.fail_job(job, "and yet it did not work")


async def _fails_twice(client: OsqueueClient, job: Job, dice: Dice) -> None:
    await client.heartbeat(job)
    retry = dice.chance(0.8)
    await client.fail_job(job, "it did not work", retry=retry, delay_ms=dice.pick((None, 0, 3_000)))
    await asyncio.sleep(dice.about(2.0))
    await client.fail_job(job, "it still did not work", retry=retry)
    await client.complete_job(job)


async def _gives_back(client: OsqueueClient, job: Job, dice: Dice) -> None:
    await client.release_job(job)
    await asyncio.sleep(dice.about(2.0))
    await client.release_job(job)
    await client.complete_job(job)


async def _is_late(client: OsqueueClient, job: Job, dice: Dice) -> None:
    await asyncio.sleep(dice.between(*LATE_S))
    if dice.chance(0.5):
        await client.heartbeat(job)
    await client.complete_job(job, dice.whole(1, 9))


async def _forgets(client: OsqueueClient, job: Job, dice: Dice) -> None:
    """It is as if it had died."""


class Repeated:
    """What was said with a lease, and done; and the law of saying it again."""

    def __init__(self) -> None:
        self._done_us: dict[tuple[str, str], int] = {}
        """When it was first said, by the operation and the lease."""

    def answered(self, exchange: Exchange) -> None:
        """Raise `BrokenLawError` when what was done is not known any more, too early."""
        name, said = exchange.operation.name, exchange.request
        if name not in _ENDS:
            return
        key = (name, getattr(said, "lease", None) or "")
        if exchange.error is None:
            self._done_us.setdefault(key, exchange.sent_us)
            return
        done_us, told_us = self._done_us.get(key), exchange.ended_us or 0
        refused = isinstance(exchange.error, LeaseLostError | JobNotFoundError)
        early = done_us is not None and told_us - done_us < REMEMBERED_US
        expect(not (refused and early), "%s of lease %s was done, and is refused", *key)
