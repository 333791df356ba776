"""From submit to the handler's start on an idle queue, against the store's own write.

A real broker process, and a worker in this one that waits by long poll. The physical limit is one
storage write; what is printed beside it is what the queue adds.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from pathlib import Path

import uvloop
from load import emit
from rest import broker

from osqueue.client import OsqueueClient
from osqueue.storage.local import LocalBackend
from osqueue.worker import Worker

SUBMITS = 200
PAUSE_S = 0.01


async def store_write_ms(folder: str) -> float:
    """Median of one conditional write of 1 KB."""
    store = LocalBackend(Path(folder))
    version = await store.create("probe", b"x" * 1_000)
    times = []
    for number in range(SUBMITS):
        started = time.perf_counter()
        version = await store.put("probe", b"%d" % number * 250, if_version=version)
        times.append(time.perf_counter() - started)
        await asyncio.sleep(PAUSE_S)
    await store.close()
    return percentile(times, 50)


def percentile(seconds: list[float], rank: int) -> float:
    return round(sorted(seconds)[len(seconds) * rank // 100] * 1e3, 2)


async def submit_to_start_ms(port: int) -> list[float]:
    started: asyncio.Queue[float] = asyncio.Queue()

    async def handle(_payload: object) -> None:
        started.put_nowait(time.perf_counter())

    times = []
    async with (
        OsqueueClient(f"http://127.0.0.1:{port}") as client,
        Worker(client, handlers={"ping": handle}, concurrency=1),
    ):
        for number in range(SUBMITS):
            await asyncio.sleep(PAUSE_S)
            sent = time.perf_counter()
            submit = asyncio.ensure_future(client.submit_job("ping", {"n": number}))
            times.append(await started.get() - sent)
            await submit
    return times[SUBMITS // 10 :]


async def run(name: str, storage: str, write_ms: float) -> None:
    with broker(storage) as (port, _):
        times = await submit_to_start_ms(port)
    p50 = percentile(times, 50)
    emit(
        "latency.submit_to_start_ms",
        store=name,
        p50=p50,
        p99=percentile(times, 99),
        store_write_p50=write_ms,
        added_p50=round(p50 - write_ms, 2),
        target=3,
    )


async def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    await run("memory", "memory://", 0.0)
    with tempfile.TemporaryDirectory() as folder:
        write_ms = await store_write_ms(f"{folder}/probe")
        await run("file", f"file://{folder}/queue", write_ms)


if __name__ == "__main__":
    uvloop.run(main())
