"""Those who submit jobs that come after others: chains, fans, joins, and more after what is there.

What is to hold of such jobs stands in `osqueue.testing.simulation.laws.families`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from msgspec.structs import replace

from osqueue.client.client import OsqueueClient
from osqueue.client.models import NewJob
from osqueue.testing.simulation.users.producer import Producer
from osqueue.testing.simulation.users.user import TYPES

__all__ = ["Planner"]

EVERY_S: Final = 9.0
"""About how often a workflow is submitted."""

STEP_S: Final = 2.0
"""The longest that a step takes, so that a chain is over in the time that the world is given."""

WIDE: Final = 4
"""Most children of one job, and most parents."""


class Planner(Producer):
    """Submits workflows; some hang on jobs of others, which may be cancelled, dead or done."""

    def _every_s(self) -> float:
        return EVERY_S

    async def _act(self, client: OsqueueClient) -> None:
        jobs = self._workflow()
        for job in jobs:
            self.ledger.submitting(job)
        await self._submit(client, jobs)
        if self.dice.chance(0.1):
            await self._submit(client, jobs)

    def _workflow(self) -> list[NewJob]:
        dice, steps = self.dice, [self._step() for _ in range(self.dice.whole(2, WIDE))]
        match dice.whole(1, 4):
            case 1:
                return steps[:1] + [_after(then, first) for first, then in pairwise(steps)]
            case 2:
                return steps[:1] + [_after(each, steps[0]) for each in steps[1:]]
            case 3:
                return [*steps[:-1], _after(steps[-1], *steps[:-1])]
            case _:
                return [self._after_known(steps[0])]

    def _after_known(self, step: NewJob) -> NewJob:
        """A step after jobs that were submitted a while ago, by whomever."""
        known = self.ledger.known[-20:]
        parents = dict.fromkeys(self.dice.pick(known) for _ in range(min(3, len(known))))
        return replace(step, after=[*parents])

    def _step(self) -> NewJob:
        dice = self.dice
        fails = dice.whole(1, 3) if dice.chance(0.2) else 0
        payload: dict[str, Any] = {
            "takes": round(min(dice.about(self.load.takes_s), STEP_S), 3),
            "fails": fails,
        }
        if fails and dice.chance(0.2):
            payload["gives_up"] = True
        return NewJob(
            dice.pick(TYPES),
            payload,
            job_id=self.process.entropy.job_id(),
            priority=dice.whole(-2, 2) if dice.chance(0.2) else 0,
            delay_ms=dice.whole(1, 5_000) if dice.chance(0.1) else None,
            max_attempts=dice.whole(1, 4) if dice.chance(0.5) else None,
            keep_result=dice.chance(0.3),
        )


def _after(job: NewJob, *parents: NewJob) -> NewJob:
    return replace(job, after=[parent.job_id or "" for parent in parents])
