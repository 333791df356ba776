"""A handler that computes: in processes of its own, one for each core, beside the worker's loop.

    python -m examples.cpu 2000000

Python runs one thread at a time, so a handler that computes for seconds would hold up all others,
and the heartbeats, too. With ``executor="process"`` it holds up nobody, its time-out kills it, and
whatever it does to its process is done to that process only.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from itertools import pairwise

from osqueue import BrokerServer, Jobs, OsqueueClient, Worker
from osqueue.worker import JobContext

jobs = Jobs()


@dataclass
class Range:
    start: int
    stop: int


@jobs.job("primes:count", Range, executor="process", timeout=300, keep_result=True)
def count_primes(numbers: Range, ctx: JobContext) -> int:
    """Runs in a process that imports this module: what it needs must be found there."""
    found = 0
    for number in range(numbers.start, numbers.stop):
        if number % 10_000 == 0:
            ctx.progress(number - numbers.start, numbers.stop - numbers.start)
        found += is_prime(number)
    return found


def is_prime(number: int) -> bool:
    if number < 4:
        return number > 1
    if number % 2 == 0:
        return False
    return all(number % divisor for divisor in range(3, int(number**0.5) + 1, 2))


async def main(limit: int, parts: int = 8) -> None:
    edges = [limit * part // parts for part in range(parts + 1)]
    async with (
        BrokerServer("memory://", host="127.0.0.1", port=0) as broker,
        OsqueueClient(broker.url) as client,
        Worker(client, jobs, concurrency=os.cpu_count() or 1),
    ):
        ids = await client.submit_jobs(
            [count_primes.new(start=start, stop=stop) for start, stop in pairwise(edges)]
        )
        counts = [await client.result(job_id) for job_id in ids]
    print(f"{sum(counts):,} primes below {limit:,}, counted in {parts} parts")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
