"""What the demo measures: commits, and how soon handlers start."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from osqueue.cli.demo.results import Results
from osqueue.cli.demo.worker import PING
from osqueue.client import OsqueueClient
from osqueue.clock import SystemEntropy

__all__ = ["Figures", "percentile", "start_times"]

PINGS_MAX: Final = 100
PING_PAUSE_S: Final = 0.01
"""Between two: the one before is over then, and the queue idle."""

PING_LOOK_S: Final = 0.002
PING_S_MAX: Final = 2
"""A ping that takes longer meets a killed process: it is left out."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured in one sitting. Times in ms."""

    jobs: int
    took_ms: int
    commits: int
    start_times: Sequence[int]
    line_times: Sequence[int]


async def start_times(client: OsqueueClient, pings: Results, *, most: int) -> list[int]:
    """From submit to the handler's start, in ms, of jobs submitted one by one to idle workers."""
    times: list[int] = []
    for _ in range(min(most, PINGS_MAX)):
        with suppress(TimeoutError):
            async with asyncio.timeout(PING_S_MAX):
                times.append(await _ping(client, pings))
        await asyncio.sleep(PING_PAUSE_S)
    return times


async def _ping(client: OsqueueClient, pings: Results) -> int:
    clock = client.runtime.clock
    began_ms = clock.wall_ms()
    job_id = await client.submit_job(PING, job_id=f"ping-{SystemEntropy().token()}")
    while (result := pings.get(job_id)) is None:  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(PING_LOOK_S)
    return result.started_at - began_ms


def percentile(values: Sequence[int], percent: float) -> int:
    """The smallest value that so many percent of all don't exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
