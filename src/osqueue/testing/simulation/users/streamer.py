"""Those to whom jobs are sent as they come, by a stream, instead of asking for each.

When a stream ends its reader begins another one, under another worker's id.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Final

from osqueue.client.client import OsqueueClient
from osqueue.client.models import Job
from osqueue.errors import OsqueueError
from osqueue.testing.simulation.machine.process import SimulatedProcess
from osqueue.testing.simulation.users.user import TYPES, User

__all__ = ["Streamer"]

CREDITS: Final = (1, 2, 5)

TAKES_S: Final = 1.0
"""About how long a job takes: heartbeats are for those that wait."""

DOES: Final = 12
"""How many jobs are done until a stream is left, at most; what has come beyond these goes back."""

PAUSE_S: Final = 1.0
"""About how long it takes until the next stream begins."""


class Streamer(User):
    """Does jobs that are sent to it."""

    at_once = 3
    """It reads, keeps what waits, and does a job."""
    never_rests = True

    async def _main(self, process: SimulatedProcess) -> None:
        client = self._client(process)
        while True:
            try:
                await self._follow(client)
            except OsqueueError as error:
                self._note(error)
            await asyncio.sleep(self.dice.about(PAUSE_S))

    async def _follow(self, client: OsqueueClient) -> None:
        worker_id, left = f"streamer-{self.process.entropy.token()}", self.dice.whole(1, DOES)
        stream = client.stream_jobs(worker_id, TYPES, credit=self.dice.pick(CREDITS))
        async with aclosing(stream) as jobs:
            async for job in jobs:
                await self._do(client, job)
                left -= 1
                if left == 0:
                    break
            since_us = self.world.loop.now_us
        self.ledger.left(self.process.name, worker_id, since_us)

    async def _do(self, client: OsqueueClient, job: Job) -> None:
        self.ledger.ran(job.job_id, job.attempt)
        await asyncio.sleep(self.dice.about(TAKES_S))
        try:
            match self.dice.whole(1, 10):
                case 1:
                    await client.fail_job(job, "it did not work")
                case 2:
                    await client.release_job(job)
                case _:
                    await client.complete_job(job, self.dice.whole(1, 9))
        except OsqueueError as error:
            self._note(error)
