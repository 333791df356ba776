"""Submits per second of `OsqueueClient` over each transport, 32 and 256 in flight, side by side.

One broker process with memory storage serves all of them in turn. The client's own processor time
is told as well: it is what a program pays for each call.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time

import uvloop
from load import emit
from rest import broker, cpu_s

from osqueue import OsqueueClient

SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))
IN_FLIGHT = (32, 256)
TRANSPORTS = ("connect", "rest", "ws", "grpc")
PAYLOAD = {"to": "x" * 180}


async def submit(client: OsqueueClient, until: float) -> int:
    """One lane: the next when the one before is durable."""
    done = 0
    while time.perf_counter() < until:
        await client.submit_job("email:send", PAYLOAD)
        done += 1
    return done


async def drive(client: OsqueueClient, in_flight: int, seconds: float) -> tuple[float, float]:
    """Submits per second, and microseconds of this process per submit."""
    started, used = time.perf_counter(), own_cpu_s()
    lanes = [submit(client, started + seconds) for _ in range(in_flight)]
    done = sum(await asyncio.gather(*lanes))
    return done / (time.perf_counter() - started), (own_cpu_s() - used) / done * 1e6


def own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def run(transport: str, in_flight: int) -> None:
    with broker("memory://", "grpc") as (port, pid):
        async with OsqueueClient(f"http://127.0.0.1:{port}", transport=transport) as client:
            await drive(client, in_flight, 0.5)
            before, started = cpu_s(pid), time.perf_counter()
            rate, client_us = await drive(client, in_flight, SECONDS)
            share = (cpu_s(pid) - before) / (time.perf_counter() - started)
    emit(
        "clients.submits_per_s",
        transport=transport,
        in_flight=in_flight,
        figure=round(rate),
        client_us=round(client_us),
        broker_cpu=round(share, 2),
    )


async def main() -> None:
    for in_flight in IN_FLIGHT:
        for transport in sys.argv[1:] or TRANSPORTS:
            await run(transport, in_flight)


if __name__ == "__main__":
    uvloop.run(main())
