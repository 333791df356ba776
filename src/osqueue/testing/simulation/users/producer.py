"""Those who submit jobs."""

from __future__ import annotations

from typing import Any, Final

from osqueue.client.client import OsqueueClient
from osqueue.client.models import NewJob
from osqueue.testing.simulation.surroundings import Surroundings
from osqueue.testing.simulation.users.user import BATCHES, LONG, LONG_S, TYPES, Ledger, Load, User

__all__ = ["Producer"]

LONGEST_S: Final = 25.0
"""So that all attempts of a job are over when the world has been well for a while."""

LASTING: Final = 0.05
"""How many jobs of those who share a queue last longer than a lease, if they do not fail: only of
these others have to see the heartbeats."""

LASTING_S: Final = 40.0

LARGE: Final = 0.2
"""How many jobs have a payload that is an object of its own."""


class Producer(User):
    """Submits jobs, one or some at a time; sometimes the same ones twice."""

    def __init__(self, world: Surroundings, name: str, ledger: Ledger, load: Load) -> None:
        super().__init__(world, name, ledger, load)
        self._lasting = world.dice.fork(f"{name} lasting")

    def _every_s(self) -> float:
        return self.load.submit_every_s

    async def _act(self, client: OsqueueClient) -> None:
        number = self.dice.whole(1, self.load.batch_max) if self.dice.chance(BATCHES) else 1
        jobs = [self._job() for _ in range(number)]
        for job in jobs:
            self.ledger.submitting(job)
        await self._submit(client, jobs)
        if self.dice.chance(0.1):
            await self._submit(client, jobs)

    async def _submit(self, client: OsqueueClient, jobs: list[NewJob]) -> None:
        if len(jobs) > 1:
            job_ids = await client.submit_jobs(jobs)
        else:
            job_ids = [(await client.submit(jobs[0])).job_id]
        self.ledger.submitted(job_ids)

    def _job(self) -> NewJob:
        dice = self.dice
        fails = dice.whole(1, 4) if dice.chance(0.15) else 0
        takes_s = dice.about(LONG_S if dice.chance(LONG) else self.load.takes_s)
        takes_s = min(takes_s, LONGEST_S)
        if self.in_company and not fails and self._lasting.chance(LASTING):
            takes_s = LASTING_S
        payload: dict[str, Any] = {"takes": round(takes_s, 3), "fails": fails}
        if fails and dice.chance(0.2):
            payload["gives_up"] = True
        if dice.chance(LARGE):
            payload["text"] = self.process.entropy.token() * 100
        return NewJob(
            dice.pick(TYPES),
            payload,
            job_id=self.process.entropy.job_id(),
            priority=dice.whole(-2, 2) if dice.chance(0.2) else 0,
            delay_ms=dice.whole(1, 20_000) if dice.chance(0.1) else None,
            max_attempts=dice.whole(1, 4) if dice.chance(0.5) else None,
            timeout_ms=dice.whole(200, 3_000) if dice.chance(0.1) else None,
            keep_result=dice.chance(0.2),
        )
