"""Those who make schedules, and drop them."""

from __future__ import annotations

from osqueue.client.client import OsqueueClient
from osqueue.client.models import NewJob
from osqueue.testing.simulation.laws.schedules import NAMES
from osqueue.testing.simulation.users.user import TYPES, User

__all__ = ["Scheduler"]


class Scheduler(User):
    """Makes schedules, and pauses, resumes, runs and drops them."""

    def _every_s(self) -> float:
        return self.load.operate_every_s

    async def _act(self, client: OsqueueClient) -> None:
        dice = self.dice
        name = dice.pick(NAMES)
        match dice.whole(1, 8):
            case 1:
                await client.drop_schedule(name)
            case 2:
                await client.pause_schedule(name)
            case 3:
                await client.run_schedule(name)
            case 4 | 5:
                await client.resume_schedule(name)
            case _:
                payload = {"takes": round(dice.about(self.load.takes_s), 3), "fails": 0}
                job = NewJob(dice.pick(TYPES), payload)
                await client.put_schedule(name, job, every_ms=1_000 * dice.whole(2, 20))
