"""Those who wait for what jobs bring, and the laws of what they are told.

A result is the one that came with the lease that completed the job. And when all is well, whoever
waits for a job's end is told as soon as it has come.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from msgspec import UNSET

from osqueue.client.client import OsqueueClient
from osqueue.errors import JobFailedError, OsqueueError, ResultTimeoutError
from osqueue.testing.simulation.clients import User
from osqueue.testing.simulation.exchange import Exchange
from osqueue.testing.simulation.laws import expect
from osqueue.testing.simulation.line import Line
from osqueue.testing.simulation.process import SimulatedProcess
from osqueue.testing.simulation.requests import Requests
from osqueue.wire.messages import JobInfo
from osqueue.wire.operations import JobQuery

__all__ = ["Waiter", "expect_brought", "expect_waited"]

AT_ONCE: Final = 3
"""How many jobs one process waits for at a time."""

EVERY_S: Final = 3.0
"""About how long it does something else in between."""

PROMPT_US: Final = 3_000_000
"""How long after the end, at most, who waits is told of it when all is well: a leader proves each
second that it leads."""


def expect_waited(exchange: Exchange, line: Line) -> None:
    """Who has waited for a job's end while all was well was told of it soon, and whoever asks once
    it has come is told at once.
    """
    query, well_us, told_us = exchange.request, line.well_us, exchange.ended_us
    over_us = line.over_us(exchange.job_id or "")
    asked = isinstance(query, JobQuery) and query.wait_ms > 0
    if not asked or well_us is None or over_us is None or exchange.sent_us < well_us:
        return
    assert told_us is not None, "it was answered"
    late_us = told_us - max(over_us, exchange.sent_us)
    expect(
        late_us < PROMPT_US,
        "job %s was over, and that was told %s us late",
        exchange.job_id,
        late_us,
    )


def expect_brought(info: Any, line: Line, asked: Requests) -> None:
    """What a completed job is shown to have brought is what its lease's holder has said."""
    assert isinstance(info, JobInfo), "it is what is answered"
    life = line.lives.get(info.id)
    if info.status != "completed" or info.created_at is UNSET or life is None or life.end is None:
        return  # or all but the end is forgotten
    said = asked.results.get(life.end.lease or "", [])
    brought = None if info.result is UNSET else bytes(info.result)
    expect(brought in said, "job %s is said to have brought %s: %s", info.id, brought, said)


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
