"""The measures of one system: each job that is submitted is known to have run before the end.

Rates are jobs per second. A drain lasts from the start of its first job until the queue counts
nothing as unfinished: its last acknowledgements belong to it, the start of the worker does not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from peers.jobs import payload
from peers.producers import CALLERS, Calls
from peers.tally import Tally
from peers.worker_process import WorkerProcess

__all__ = ["MEASURES", "Figures", "Plan", "WrongCountError", "take"]

MEASURES = ("drain", "bulk", "concurrent", "single", "latency", "after", "ran")
"""Jobs/s for the first three, then ms; and how many jobs there were in all, each of which ran."""


DRAIN_S_MAX = 600
SETTLE_S_MAX = 30
"""From the last job's start until the queue has been told of the end of all."""

LATENCY_S_MAX = 30
"""A system that is slow to notice a job is asked fewer times."""

PAUSE_S = 0.02
"""Between two jobs on an idle system: all is over before the next."""

POLL_S = 0.002
WARM_UP = 10

Figures = tuple[str, dict[str, float | int]]
"""A measure and its figures."""


class WrongCountError(Exception):
    """Jobs are missing, or there are more than were submitted."""


@dataclass(frozen=True)
class Plan:
    """How many jobs each measure has; each job has a number of its own."""

    backlog: int
    """For bulk and drain."""

    concurrent: int
    single: int
    latency: int
    """Measured twice: on a system that has done nothing yet, and after the backlog."""

    @property
    def jobs(self) -> int:
        return self.numbers()[-1].stop

    def numbers(self) -> tuple[range, range, range, range, range]:
        """Those of latency, of single and concurrent submits, of the backlog, and after it."""
        counts = (self.latency, self.single, self.concurrent, self.backlog, self.latency)
        ends = list(accumulate(counts, initial=0))
        idle, single, concurrent, backlog, after = map(range, ends, ends[1:])
        return idle, single, concurrent, backlog, after


async def take(
    calls: Calls, tally: Tally, worker: WorkerProcess, plan: Plan
) -> AsyncIterator[Figures]:
    """All measures. Raises whatever the system raises, `TimeoutError`, `WrongCountError`."""
    idle, single, concurrent, backlog, after = plan.numbers()
    with worker:
        yield "latency", await latency(calls, tally, worker, idle)
    yield "single", await one_by_one(calls, single)
    yield "concurrent", await by_many(calls, concurrent)
    await expect(calls, len(single) + len(concurrent))
    with worker:
        await drain(calls, tally, worker, range(single.start, concurrent.stop))
    yield "bulk", await bulk(calls, backlog)
    await expect(calls, len(backlog))
    with worker:
        yield "drain", await drain(calls, tally, worker, backlog)
        yield "after", await latency(calls, tally, worker, after)
    everything = range(plan.jobs)
    never = tally.missing(everything)
    yield "ran", {"figure": plan.jobs - never, "twice": tally.repeated(everything)}


async def bulk(calls: Calls, numbers: range) -> dict[str, float | int]:
    payloads = [payload(number) for number in numbers]
    started = time.perf_counter()
    await calls.enqueue_bulk(payloads)
    return {"figure": rate(len(numbers), time.perf_counter() - started)}


async def drain(
    calls: Calls, tally: Tally, worker: WorkerProcess, numbers: range
) -> dict[str, float | int]:
    await ran(tally, worker, numbers)
    await settled(calls)
    taken = time.perf_counter() - tally.first(numbers)
    return {"figure": rate(len(numbers), taken)}


async def latency(
    calls: Calls, tally: Tally, worker: WorkerProcess, numbers: range
) -> dict[str, float | int]:
    """From submit to the handler's start, one job at a time."""
    deadline = time.perf_counter() + LATENCY_S_MAX
    times = []
    for number in numbers:
        await asyncio.sleep(PAUSE_S)
        sent = time.perf_counter()
        await calls.enqueue(payload(number))
        await ran(tally, worker, range(number, number + 1))
        times.append(tally.began(number) - sent)
        if time.perf_counter() > deadline:
            break
    await settled(calls)
    return percentiles(times)


async def one_by_one(calls: Calls, numbers: range) -> dict[str, float | int]:
    """One caller, who waits for each."""
    times = []
    for number in numbers:
        sent = time.perf_counter()
        await calls.enqueue(payload(number))
        times.append(time.perf_counter() - sent)
    return percentiles(times)


async def by_many(calls: Calls, numbers: range) -> dict[str, float | int]:
    """The first ones open the connections, and don't count."""
    payloads = [payload(number) for number in numbers]
    warm_up = min(CALLERS * 2, len(payloads) // 2)
    await calls.enqueue_by(CALLERS, payloads[:warm_up])
    started = time.perf_counter()
    await calls.enqueue_by(CALLERS, payloads[warm_up:])
    return {"figure": rate(len(numbers) - warm_up, time.perf_counter() - started)}


async def expect(calls: Calls, jobs: int) -> None:
    """That the queue holds what it has taken, and no more."""
    held = await calls.unfinished()
    if held != jobs:
        raise WrongCountError(f"{jobs} jobs were submitted, and the queue holds {held}")


async def settled(calls: Calls) -> None:
    """Until the queue has been told of the end of all. Raises `WrongCountError`."""
    deadline = time.perf_counter() + SETTLE_S_MAX
    while left := await calls.unfinished():
        if time.perf_counter() > deadline:
            raise WrongCountError(f"{left} jobs have run and count as unfinished")
        await asyncio.sleep(0)


async def ran(tally: Tally, worker: WorkerProcess, numbers: range) -> None:
    """Until all of them have. Raises `TimeoutError`, and `ChildProcessError` without a worker."""
    deadline = time.perf_counter() + DRAIN_S_MAX
    while missing := tally.missing(numbers):
        worker.check()
        if time.perf_counter() > deadline:
            raise TimeoutError(f"{missing} of {len(numbers)} jobs have not run in {DRAIN_S_MAX} s")
        await asyncio.sleep(POLL_S)


def rate(jobs: int, seconds: float) -> int:
    return round(jobs / seconds)


def percentiles(seconds: Sequence[float]) -> dict[str, float | int]:
    """In ms. The first ones, which open connections, don't count unless there are no others."""
    times = sorted(seconds[WARM_UP:] or seconds)
    at = {rank: times[len(times) * rank // 100] for rank in (50, 99)}
    p50, p99 = (round(at[rank] * 1e3, 2) for rank in (50, 99))
    return {"figure": p50, "p99": p99, "samples": len(times)}
