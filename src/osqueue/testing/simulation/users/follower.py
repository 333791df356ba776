"""Those who follow what becomes of jobs by the stream of events.

When a stream ends its reader begins anew, and reads what it may have missed in between.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Final

from osqueue.client.client import OsqueueClient
from osqueue.errors import JobNotFoundError, OsqueueError
from osqueue.testing.simulation.machine.process import SimulatedProcess
from osqueue.testing.simulation.users.user import User
from osqueue.wire.messages import JobEvent

__all__ = ["Follower"]

FOLLOWED: Final = 0.3
"""How many of the jobs that come are followed to their end."""

PAUSE_S: Final = 0.5
"""About how long a reader whose stream has ended waits before it begins anew."""

KNOWN_MAX: Final = 5
"""How many jobs that are there already a reader follows each time that it begins."""

_OVER: Final = frozenset({"completed", "cancelled", "discarded", "dead"})


class Follower(User):
    """Follows some jobs to their end."""

    never_rests = True

    async def _main(self, process: SimulatedProcess) -> None:
        client = self._client(process)
        self.ledger.onlookers.begin(process.name)
        while True:
            try:
                await self._follow(client)
            except OsqueueError as error:
                self.world.trace.note(process.name, "told %s: %s", type(error).__name__, str(error))
            await asyncio.sleep(self.dice.about(PAUSE_S))

    async def _follow(self, client: OsqueueClient) -> None:
        every_ms = self.dice.pick((0, 500, 5_000))
        begun = False
        async with aclosing(client.subscribe(stats_every_ms=every_ms)) as updates:
            async for update in updates:
                for event in update.events:
                    self._hear(event)
                if not begun:
                    begun = True
                    await self._catch_up(client)

    def _hear(self, event: JobEvent) -> None:
        who, onlookers = self.process.name, self.ledger.onlookers
        if event.kind == "submitted" and self.dice.chance(FOLLOWED):
            onlookers.follow(who, event.job_id)
        onlookers.hear(who, event.job_id, event.kind if event.kind in _OVER else None)

    async def _catch_up(self, client: OsqueueClient) -> None:
        """Read what may have been missed, and some more, now that all that comes is told."""
        who, onlookers, known = self.process.name, self.ledger.onlookers, self.ledger.known
        for _ in range(min(KNOWN_MAX, len(known))):
            onlookers.follow(who, self.dice.pick(known[-30:]))
        for job_id in onlookers.followed(who):
            try:
                info = await client.get_job(job_id, consistent=True)
            except JobNotFoundError:
                onlookers.forget(who, job_id)
            else:
                onlookers.hear(who, job_id, info.status if info.status in _OVER else None)
