"""Those who claim by hand, and do it badly: they are late, say things twice, and forget."""

from __future__ import annotations

import asyncio
from typing import Final

from osqueue.client.client import OsqueueClient
from osqueue.client.models import Job
from osqueue.errors import OsqueueError
from osqueue.testing.simulation.machine.dice import Dice
from osqueue.testing.simulation.machine.process import SimulatedProcess
from osqueue.testing.simulation.users.user import TYPES, User

__all__ = ["Careless"]

EVERY_S: Final = 6.0
"""About how often one claims."""

AT_ONCE: Final = 60
"""How many claims it is at, at most: of one that is answered by nobody, for minutes."""

LATE_S: Final = (31.0, 45.0)
"""How late one who is late is: beyond the time-out of a lease."""


class Careless(User):
    """Claims jobs under ids of its own, and mishandles them; several at a time."""

    at_once = AT_ONCE
    rests_s_max = LATE_S[1]

    def _every_s(self) -> float:
        return EVERY_S

    async def _main(self, process: SimulatedProcess) -> None:
        client = self._client(process)
        async with asyncio.TaskGroup() as group:
            while self.working:
                group.create_task(self._once(client))
                await self._rest()

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
