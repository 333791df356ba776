"""Those who look after a queue: they act on many jobs at once, list and count them, and some submit
one id for two jobs.
"""

from __future__ import annotations

from typing import Any, Final

from osqueue.client.client import OsqueueClient
from osqueue.client.models import NewJob
from osqueue.errors import JobIdConflictError
from osqueue.testing.simulation.users.user import TWIN, TYPES, User

__all__ = ["Manager"]

EVERY_S: Final = 8.0
"""About how often something is done."""

TWIN_DELAY_MS: Final = 1_000_000_000
"""It stands in the queue for longer than the world, whatever clocks say: one that had ended could
be forgotten, and then its id would be free again."""

STATUSES: Final = ("unclaimed", "ready", "delayed", "waiting", "in_progress", "dead", None)


class Manager(User):
    """Retries and cancels by the dozen, lists and counts by filters, and mixes ids up."""

    def _every_s(self) -> float:
        return EVERY_S

    async def _act(self, client: OsqueueClient) -> None:
        match self.dice.whole(1, 10):
            case 1:
                await client.act_on_jobs("retry", status="dead", max_jobs=self.dice.whole(1, 5))
            case 3:
                await client.act_on_jobs(self.dice.pick(("cancel", "retry")), self._some())
            case 4:
                await self._cancel_of_type(client)
            case 5:
                await self._mix_up(client)
            case 6:
                await client.count_jobs(**self._filter())
            case _:
                await self._list(client)

    def _some(self) -> list[str]:
        known = self.ledger.known[-40:] or ["nobody"]
        return [*dict.fromkeys(self.dice.pick(known) for _ in range(self.dice.whole(1, 4)))]

    async def _cancel_of_type(self, client: OsqueueClient) -> None:
        await client.act_on_jobs(
            "cancel",
            status=self.dice.pick(("unclaimed", "waiting", "dead")),
            job_type=self.dice.pick(TYPES),
            max_jobs=self.dice.whole(1, 3),
        )

    async def _list(self, client: OsqueueClient) -> None:
        await client.list_jobs(
            **self._filter(),
            order=self.dice.pick(("oldest", "newest")),
            limit=self.dice.pick((3, 1_000)),
            payloads=self.dice.chance(0.5),
        )

    def _filter(self) -> dict[str, Any]:
        return {
            "status": self.dice.pick(STATUSES),
            "job_type": self.dice.pick((*TYPES, None)),
            "consistent": self.dice.chance(0.5),
        }

    async def _mix_up(self, client: OsqueueClient) -> None:
        """Submit a job, and another one under its id: that is refused, and changes nothing."""
        token = self.process.entropy.job_id()
        job = NewJob(TWIN, {"twin": 1}, job_id=token, delay_ms=TWIN_DELAY_MS)
        self.ledger.submitting_unknown(job)
        await client.submit(job)
        self.ledger.submitted([token])
        other = NewJob(TWIN, {"twin": 2}, job_id=token, delay_ms=TWIN_DELAY_MS)
        try:
            await client.submit(other)
        except JobIdConflictError as error:
            self.world.trace.note(self.process.name, "told %s", str(error))
            await client.get_payload(token, consistent=True)
