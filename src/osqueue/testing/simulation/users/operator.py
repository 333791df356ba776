"""Those who keep a queue in hand."""

from __future__ import annotations

import asyncio

from osqueue.client.client import OsqueueClient
from osqueue.testing.simulation.users.user import User

__all__ = ["Operator"]


class Operator(User):
    """Cancels, retries, pauses, resumes, and sets priorities."""

    def _every_s(self) -> float:
        return self.load.operate_every_s

    async def _act(self, client: OsqueueClient) -> None:
        known = self.ledger.known
        job_id = self.dice.pick(known[-60:]) if known else "nobody"
        match self.dice.whole(1, 8):
            case 1 | 2:
                await client.cancel_job(job_id)
            case 3:
                await client.set_priority(job_id, self.dice.whole(-2, 2))
            case 4:
                await self._pause(client)
            case _:
                await self._retry_some(client)

    async def _pause(self, client: OsqueueClient) -> None:
        await client.pause_queue()
        await asyncio.sleep(self.dice.about(3.0))
        await client.resume_queue()

    async def _retry_some(self, client: OsqueueClient) -> None:
        page = await client.list_jobs(status="dead", limit=20)
        if page.jobs:
            await client.retry_job(self.dice.pick(page.jobs).job_id)
