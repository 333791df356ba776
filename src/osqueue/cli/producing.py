"""A producer process: submits payloads at a rate, and shows how far it is."""

from __future__ import annotations

import asyncio
import math
from typing import Final

import msgspec

from osqueue.cli.asking import parse_payload
from osqueue.cli.connecting import connect
from osqueue.cli.failures import USAGE, CliError
from osqueue.cli.options import Broker
from osqueue.cli.output import say, say_json
from osqueue.cli.payloads import Counted, Lines, Payloads
from osqueue.cli.progress import Progress
from osqueue.cli.signals import StopRequest, StopRequestedError
from osqueue.client import NewJob, OsqueueClient
from osqueue.clock import SystemClock

__all__ = ["ProducerPlan", "run"]

BATCH_JOBS: Final = 500
"""Jobs of one request: fewer cost more requests, more make progress jump."""

TICK_S: Final = 0.02
"""Longest pause while a rate is kept: at higher rates jobs leave in batches this far apart."""


class ProducerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to submit."""

    job_type: str
    count: int
    rate: float | None
    payload: str | None
    source: str | None
    json_output: bool

    @property
    def endless(self) -> bool:
        """Whether only a signal ends it."""
        return self.source is None and self.count == 0

    def validate(self) -> None:
        """Raise `CliError` for what makes no sense together."""
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise CliError(f"--rate: must be above 0, not {self.rate:g}", code=USAGE)
        if self.source is not None and self.payload is not None:
            raise CliError("--payload and --from exclude each other", code=USAGE)


def run(broker: Broker, plan: ProducerPlan) -> int:
    """Submit until the end, or until stopped; answers the exit code."""
    plan.validate()
    return asyncio.run(_run(broker, plan))


async def _run(broker: Broker, plan: ProducerPlan) -> int:
    async with connect(broker) as client:
        producer = _Producer(client, plan, _payloads(plan))
        with StopRequest() as stop:
            try:
                await stop.unless_requested(producer.run())
            except StopRequestedError:
                if not plan.endless:
                    raise
            finally:
                producer.report()
    return 0


def _payloads(plan: ProducerPlan) -> Payloads:
    if plan.source is not None:
        return Lines(plan.source)
    return Counted(plan.count, None if plan.payload is None else parse_payload(plan.payload))


class _Producer:
    def __init__(self, client: OsqueueClient, plan: ProducerPlan, payloads: Payloads) -> None:
        self._client = client
        self._plan = plan
        self._payloads = payloads
        self._clock = SystemClock()
        self._started_ms = self._clock.mono_ms()
        self._submitted = 0

    async def run(self) -> None:
        """Submit all that there is, no faster than the rate."""
        with Progress("submitting", self._payloads.total) as progress:
            while True:
                payloads = await self._payloads.take(await self._allowance())
                if not payloads:
                    return
                jobs = [NewJob(self._plan.job_type, payload) for payload in payloads]
                await self._client.submit_jobs(jobs)
                self._submitted += len(jobs)
                progress.show(self._submitted)

    def report(self) -> None:
        """Say what was submitted."""
        seconds = max(self._clock.mono_ms() - self._started_ms, 1) / 1_000
        if self._plan.json_output:
            say_json({"submitted": self._submitted, "seconds": seconds})
            return
        rate = self._submitted / seconds
        jobs = "1 job" if self._submitted == 1 else f"{self._submitted:,} jobs"
        say(f"submitted {jobs} in {seconds:.1f} s ({rate:,.0f} jobs/s)")

    async def _allowance(self) -> int:
        """How many jobs may be submitted now; waits until at least one may."""
        rate = self._plan.rate
        if rate is None:
            return BATCH_JOBS
        while True:
            gone_s = (self._clock.mono_ms() - self._started_ms) / 1_000
            due = int(gone_s * rate) + 1 - self._submitted
            if due > 0:
                return min(due, BATCH_JOBS)
            await asyncio.sleep(min(max((self._submitted / rate) - gone_s, 0.001), 1))
