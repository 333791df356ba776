"""Those who look, and those who give one command and go."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from osqueue.client.client import OsqueueClient
from osqueue.errors import OsqueueError
from osqueue.testing.simulation.surroundings import Surroundings
from osqueue.testing.simulation.users.user import Ledger, Load, User

__all__ = ["Reader"]


class Reader(User):
    """Looks at jobs and at the queue, sometimes insisting on the newest. Beside that he gives
    commands: each has a client that knows nothing yet, and none waits for another.
    """

    def __init__(self, world: Surroundings, name: str, ledger: Ledger, load: Load) -> None:
        super().__init__(world, name, ledger, load)
        self._commands: set[asyncio.Task[None]] = set()

    def _every_s(self) -> float:
        return self.load.read_every_s

    async def _act(self, client: OsqueueClient) -> None:
        if self.in_company or self.dice.chance(0.5):
            await self._look(client)
        else:
            command = asyncio.get_running_loop().create_task(self._command())
            self._commands.add(command)
            command.add_done_callback(self._commands.discard)

    async def _command(self) -> None:
        patience = self.load.patience
        client = self.world.client(self.process, patience, finds_leader=False, stays=False)
        with suppress(OsqueueError):
            await self._look(client)

    async def _look(self, client: OsqueueClient) -> None:
        consistent = self.dice.chance(0.5)
        known = self.ledger.known
        if known and self.dice.chance(0.7):
            await client.get_job(self.dice.pick(known[-80:]), consistent=consistent)
        else:
            stats = await client.get_stats(consistent=consistent)
            self.ledger.shown(client, stats.completed_total)
