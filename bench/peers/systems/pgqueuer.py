"""PgQueuer over PostgreSQL, its tables logged ("durable", as they come).

Default: 10 jobs a fetch, one connection. Best: "Performance Tuning": large batches, its settings
for autovacuum, a pool for producers and one connection for the worker; uvloop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType

import asyncpg
import uvloop
from peers.jobs import NAME, Payload, run
from peers.producers import CALLERS, Calls, Tasks
from pgqueuer import PgQueuer, Queries
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job

__all__ = ["connect", "work"]


@dataclass(frozen=True)
class Setting:
    batch: int = 10
    tuned: bool = False


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {"default": Setting(), "best": Setting(batch=1_000, tuned=True)}
)


class Inserts:
    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def enqueue(self, payload: Payload) -> None:
        await self._queries.enqueue(NAME, encode(payload))

    async def enqueue_bulk(self, payloads: Sequence[Payload]) -> None:
        jobs = len(payloads)
        encoded = [encode(payload) for payload in payloads]
        await self._queries.enqueue([NAME] * jobs, encoded, [0] * jobs)

    async def unfinished(self) -> int:
        return sum(row.count for row in await self._queries.queue_size())


def encode(payload: Payload) -> bytes:
    return json.dumps(payload).encode()


@asynccontextmanager
async def connect(setting: str, store: str) -> AsyncIterator[Calls]:
    chosen = SETTINGS[setting]
    async with driver(store, pooled=chosen.tuned) as own:
        queries = Queries(own)
        await queries.install()
        if chosen.tuned:
            await queries.optimize_autovacuum()
        inserts = Inserts(queries)
        yield Tasks(inserts, inserts.enqueue_bulk)


@asynccontextmanager
async def driver(store: str, *, pooled: bool) -> AsyncIterator[AsyncpgDriver | AsyncpgPoolDriver]:
    if pooled:
        async with asyncpg.create_pool(store, max_size=CALLERS) as pool:
            yield AsyncpgPoolDriver(pool)
        return
    connection = await asyncpg.connect(store)
    try:
        yield AsyncpgDriver(connection)
    finally:
        await connection.close()


def work(setting: str, store: str) -> None:
    chosen = SETTINGS[setting]
    loop = uvloop.new_event_loop if chosen.tuned else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run_worker(chosen, store))


async def run_worker(chosen: Setting, store: str) -> None:
    async with driver(store, pooled=False) as own:
        manager = PgQueuer(own)
        manager.entrypoint(NAME)(handle)
        await manager.run(batch_size=chosen.batch)


async def handle(job: Job) -> None:
    run(json.loads(job.payload))
