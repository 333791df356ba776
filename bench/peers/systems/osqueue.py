"""osqueue: a broker that keeps the queue in a directory; the worker and the producer are clients.

Default: one job at a time over Connect. ``ten``: ten at a time. Best: "Transports" (one WebSocket
for all requests) and "Clients and workers" (more at a time, and a prefetch); uvloop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType

import uvloop
from peers.jobs import NAME, Payload, run_async
from peers.producers import Calls, Tasks

from osqueue import OsqueueClient
from osqueue.worker import Worker

__all__ = ["connect", "work"]


@dataclass(frozen=True)
class Setting:
    transport: str = "connect"
    concurrency: int = 1
    prefetch: int = 0


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        "default": Setting(),
        "ten": Setting(concurrency=10),
        "best": Setting(transport="ws", concurrency=500, prefetch=500),
    }
)


class Submits:
    def __init__(self, client: OsqueueClient) -> None:
        self._client = client

    async def enqueue(self, payload: Payload) -> None:
        await self._client.submit_job(NAME, payload)

    async def enqueue_bulk(self, payloads: Sequence[Payload]) -> None:
        await self._client.submit_jobs([(NAME, payload) for payload in payloads])

    async def unfinished(self) -> int:
        return (await self._client.get_stats()).total


@asynccontextmanager
async def connect(setting: str, store: str) -> AsyncIterator[Calls]:
    async with OsqueueClient(store, transport=SETTINGS[setting].transport) as client:
        submits = Submits(client)
        yield Tasks(submits, submits.enqueue_bulk)


def work(setting: str, store: str) -> None:
    chosen = SETTINGS[setting]
    loop = asyncio.new_event_loop if setting == "default" else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run_worker(chosen, store))


async def run_worker(chosen: Setting, store: str) -> None:
    async with OsqueueClient(store, transport=chosen.transport) as client:
        worker = Worker(
            client, {NAME: run_async}, concurrency=chosen.concurrency, prefetch=chosen.prefetch
        )
        await worker.run()
