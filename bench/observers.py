"""What it costs to be watched: metrics and access log per request, and observers of every change.

Submits over REST to one broker process, rounds of the variants in turn, load from this process.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median
from typing import cast

import uvloop
from load import connections, drive, emit
from rest import broker, cpu_s, submit

from osqueue.clock import SystemClock
from osqueue.engine.observer import Observers
from osqueue.server.telemetry.access_log import AccessLog
from osqueue.server.telemetry.metrics import Metrics
from osqueue.server.telemetry.observing import Observed

REQUESTS = 100_000
CONNECTIONS = 64
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))


class Observer(asyncio.Protocol):
    """Listens to events and counts their bytes."""

    heard = 0

    def __init__(self, query: bytes) -> None:
        self._query = query

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        transport.write(b"GET /v1/events?%b HTTP/1.1\r\nhost: bench\r\n\r\n" % self._query)

    def data_received(self, data: bytes) -> None:
        Observer.heard += len(data)


@asynccontextmanager
async def observers(port: int, number: int, query: bytes) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    made = [
        (await loop.create_connection(lambda: Observer(query), "127.0.0.1", port))[0]
        for _ in range(number)
    ]
    await asyncio.sleep(0.2 + number / 2_000)
    try:
        yield
    finally:
        for transport in made:
            transport.close()


def per_request() -> None:
    """What is done around each request, in this process."""
    metrics = Metrics(SystemClock())
    log = AccessLog(SystemClock(), write=len)  # type: ignore[arg-type] # nowhere
    for name, watching in (("nobody", ()), ("metrics", (metrics,)), ("access_log", (metrics, log))):
        observed = Observed("rest", Observers(watching))
        times = []
        for _ in range(5):
            gc.collect()
            started = time.perf_counter()
            for _ in range(REQUESTS):
                with observed.request("submitJob"):
                    pass
            times.append((time.perf_counter() - started) / REQUESTS * 1e6)
        emit("observers.us_per_request", watching=name, best=round(min(times), 2), target=3)


VARIANTS = (
    ("nobody", 0, b""),
    ("one, events", 1, b"statsEveryMs=0"),
    ("10, events", 10, b"statsEveryMs=0"),
    ("100, events", 100, b"statsEveryMs=0"),
    ("1000, events", 1_000, b"statsEveryMs=0"),
    ("1000, of another type", 1_000, b"statsEveryMs=0&types=none"),
    ("1000, counts each second", 1_000, b"events=false"),
)


async def watched(number: int, query: bytes) -> tuple[float, float, float]:
    """Submits per second to a broker that is watched so, its time for each, bytes per observer."""
    with broker() as (port, pid):
        async with connections(port, CONNECTIONS) as pool, observers(port, number, query):
            await drive(pool, 0.5, submit)
            before, started, heard = cpu_s(pid), time.perf_counter(), Observer.heard
            rate: float = await drive(pool, SECONDS, submit)
            seconds = time.perf_counter() - started
            spent = cpu_s(pid) - before
            per_observer = (Observer.heard - heard) / max(1, number) / seconds
            return rate, spent / (rate * seconds) * 1e6, per_observer


async def subscribers() -> None:
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name, _, _ in VARIANTS}
    for _ in range(ROUNDS):
        for name, number, query in VARIANTS:
            found[name].append(await watched(number, query))
    for name, rounds in found.items():
        rates, spent, heard = zip(*rounds, strict=True)
        emit(
            "observers.submits_per_s",
            observers=name,
            median=round(median(rates)),
            broker_us_per_submit=round(median(spent)),
            bytes_per_s_and_observer=round(median(heard)),
        )


def main() -> None:
    per_request()
    uvloop.run(subscribers())


if __name__ == "__main__":
    main()
