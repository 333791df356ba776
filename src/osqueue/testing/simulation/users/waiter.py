"""Those who wait for what jobs bring."""

from __future__ import annotations

import asyncio
from typing import Final

from osqueue.client.client import OsqueueClient
from osqueue.errors import JobFailedError, OsqueueError, ResultTimeoutError
from osqueue.testing.simulation.machine.process import SimulatedProcess
from osqueue.testing.simulation.users.user import User

__all__ = ["Waiter"]

AT_ONCE: Final = 3
"""How many jobs one process waits for at a time."""

EVERY_S: Final = 3.0
"""About how long it does something else in between."""


class Waiter(User):
    """Waits for the end of jobs, some at a time, for a while or for as long as it takes."""

    at_once = AT_ONCE
    never_rests = True

    async def _main(self, process: SimulatedProcess) -> None:
        client = self._client(process)
        self.ledger.onlookers.begin(process.name)
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._wait_often(client))

    async def _wait_often(self, client: OsqueueClient) -> None:
        while True:
            await asyncio.sleep(self.dice.about(EVERY_S))
            if self.ledger.known:
                await self._wait(client, self.dice.pick(self.ledger.known[-20:]))

    async def _wait(self, client: OsqueueClient, job_id: str) -> None:
        who, onlookers = self.process.name, self.ledger.onlookers
        onlookers.follow(who, job_id)
        wait = client.result if self.dice.chance(0.5) else client.wait
        try:
            await wait(job_id, timeout=self.dice.pick((2.0, 15.0, 60.0, None)))
        except (JobFailedError, ResultTimeoutError) as error:
            self.world.trace.note(who, "waited, and was told: %s", str(error))
        except OsqueueError as error:
            self.world.trace.note(who, "told %s: %s", type(error).__name__, str(error))
        finally:
            onlookers.forget(who, job_id)
