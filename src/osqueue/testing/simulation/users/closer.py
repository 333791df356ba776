"""Whoever brings a queue to rest at the end of a run."""

from __future__ import annotations

from typing import Final

from osqueue.client.client import OsqueueClient
from osqueue.testing.simulation.users.user import TWIN, User

__all__ = ["Closer"]

CLOSE_EVERY_S: Final = 5.0
"""How often, about, a queue that is to come to rest is looked after."""


class Closer(User):
    """Sees to it that the queue is not left paused, and comes to rest: again and again, as what
    others had asked for may still come to pass.
    """

    by_broker = True
    """Whether a broker leads: what only brokers do was done, and has to come to an end."""

    def _every_s(self) -> float:
        return CLOSE_EVERY_S

    async def _act(self, client: OsqueueClient) -> None:
        await client.resume_queue()
        if self.by_broker:
            await client.act_on_jobs("cancel", job_type=TWIN, status="unclaimed")
            for schedule in await client.list_schedules():
                await client.drop_schedule(schedule.name)
