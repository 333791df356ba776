"""A pipeline that runs every so often: a tick fetches from each city, and each fetch is stored.

    osqueue worker examples.pipeline:jobs --concurrency 4
    python -m examples.pipeline 60     # begin: every 60 s; a second time changes nothing

Every job of a run has an id that says which run it belongs to. A job may run twice, as when its
worker is killed; what it submits then has the same ids, and is there once all the same.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime

import msgspec

from osqueue import Jobs, OsqueueClient

BROKER_URL = os.environ.get("BROKER_URL", "http://localhost:8080")
CITIES = {"London": 51.5, "Nairobi": -1.3, "Oslo": 59.9}

jobs = Jobs()


class Tick(msgspec.Struct):
    """``at`` and ``every`` are seconds; ``at`` counts from 1970."""

    at: int
    every: int


class Fetch(msgspec.Struct):
    at: int
    city: str


class Store(msgspec.Struct):
    at: int
    city: str
    degrees: float


@jobs.job("weather:tick", Tick, max_attempts=100)
async def tick(run: Tick) -> None:
    """Begin one run, and have the next one begin in its time. A handler may submit, too."""
    await begin(run.at + run.every, run.every)
    for city in CITIES:
        await fetch.options(job_id=f"fetch-{city}-{run.at}").submit(at=run.at, city=city)


@jobs.job("weather:fetch", Fetch, max_attempts=5, timeout=20)
async def fetch(wanted: Fetch) -> None:
    degrees = 25 - abs(CITIES[wanted.city]) / 3  # a real one would ask somebody
    stored = store.options(job_id=f"store-{wanted.city}-{wanted.at}")
    await stored.submit(at=wanted.at, city=wanted.city, degrees=round(degrees, 1))


@jobs.job("weather:store", Store, concurrency=1)
async def store(reading: Store) -> None:
    at = datetime.fromtimestamp(reading.at, UTC)
    print(f"{at:%H:%M:%S} {reading.city}: {reading.degrees} degrees", flush=True)


async def begin(at: int, every: int) -> None:
    """Submit the tick of that time. Its id is the time, so there is only one."""
    first = tick.options(job_id=f"tick-{at}", run_at=datetime.fromtimestamp(at, UTC))
    await first.submit(at=at, every=every)


async def main(every: int) -> None:
    async with OsqueueClient(BROKER_URL) as client:
        with jobs.using(client):
            now = int(datetime.now(UTC).timestamp())
            await begin(now - now % every, every)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
