"""A pipeline that runs every so often: a tick fetches from each city, and each fetch is stored.

    osqueue worker examples.pipeline:jobs --concurrency 4
    python -m examples.pipeline 60     # every 60 s; a second time changes nothing

What a tick submits has ids made of its own. A job may run twice, as when its worker is killed; what
it submits then has the same ids, and is there once all the same.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime

import msgspec

from osqueue import JobContext, Jobs, OsqueueClient

BROKER_URL = os.environ.get("BROKER_URL", "http://localhost:8080")
CITIES = {"London": 51.5, "Nairobi": -1.3, "Oslo": 59.9}

jobs = Jobs()


class Fetch(msgspec.Struct):
    """``at`` is in ms since 1970."""

    at: int
    city: str


class Store(msgspec.Struct):
    at: int
    city: str
    degrees: float


@jobs.job("weather:tick", max_attempts=100)
async def tick(_: None, ctx: JobContext) -> None:
    """Begin one run: a handler may submit, too."""
    for city in CITIES:
        wanted = fetch.options(job_id=f"fetch-{city}-{ctx.job_id}")
        await wanted.submit(at=ctx.created_at, city=city)


@jobs.job("weather:fetch", Fetch, max_attempts=5, timeout=20)
async def fetch(wanted: Fetch, ctx: JobContext) -> None:
    degrees = 25 - abs(CITIES[wanted.city]) / 3  # a real one would ask somebody
    stored = store.options(job_id=f"store-{ctx.job_id}")
    await stored.submit(at=wanted.at, city=wanted.city, degrees=round(degrees, 1))


@jobs.job("weather:store", Store, concurrency=1)
async def store(reading: Store) -> None:
    at = datetime.fromtimestamp(reading.at / 1_000, UTC)
    print(f"{at:%H:%M:%S} {reading.city}: {reading.degrees} degrees", flush=True)


async def main(every: int) -> None:
    async with OsqueueClient(BROKER_URL) as client:
        kept = await client.put_schedule("weather", tick.new(None), every_ms=every * 1_000)
        print(f"{kept.name}: {kept.when}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
