"""What group commit is for: submits per second through one broker as its store gets slower.

8,192 submits in flight, each over a connection of its own, against memory storage whose writes
take 5, 50 and 200 ms. Throughput should hardly depend on it: the slower the store, the larger
each commit.
"""

from __future__ import annotations

import os
import resource

import uvloop
from load import connections, drive, emit
from rest import broker, submit

IN_FLIGHT = 256 * 32
SECONDS = float(os.environ.get("BENCH_SECONDS", "8"))


async def run(latency_ms: int) -> float:
    with broker(f"slow:{latency_ms}") as (port, _):
        async with connections(port, IN_FLIGHT) as pool:
            await drive(pool, 1, submit)
            return await drive(pool, SECONDS, submit)


async def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    fastest = 0.0
    for latency_ms in (5, 50, 200):
        rate = await run(latency_ms)
        fastest = fastest or rate
        emit(
            "slow_store.submits_per_s",
            store_latency_ms=latency_ms,
            in_flight=IN_FLIGHT,
            figure=round(rate),
            of_that_at_5_ms=round(rate / fastest, 2),
            target=0.7,
        )


if __name__ == "__main__":
    uvloop.run(main())
