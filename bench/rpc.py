"""Figures of one broker process over Connect, gRPC-Web and gRPC with memory storage.

Load comes from this process. Prints submits, batches and whole cycles per second, and what the
broker spent of its core meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from h2 import Channel
from load import connections, emit
from rest import broker, cpu_s

from osqueue.wire.gen.osqueue.v1 import queue_pb as pb

CALLERS = 256
CHANNELS = 8
SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
TARGETS = {
    ("connect", "submits"): 4_000,
    ("grpc", "submits"): 3_000,
    ("connect", "batched_jobs"): 100_000,
    ("grpc", "batched_jobs"): 100_000,
}
SERVICE = b"/osqueue.v1.QueueService/"
JOB = pb.SubmitJobRequest(payload=b'{"to":"' + b"x" * 180 + b'"}', type="email:send")
BATCH = pb.SubmitJobsRequest(jobs=[JOB] * 100)

Call = Callable[[bytes, Any], Awaitable[bytes]]


async def submit(call: Call) -> int:
    await call(b"SubmitJob", JOB)
    return 1


async def submit_batch(call: Call) -> int:
    await call(b"SubmitJobs", BATCH)
    return 100


async def cycle(call: Call) -> int:
    await call(b"SubmitJob", JOB)
    claimed = await call(b"ClaimJob", pb.ClaimJobRequest(worker_id="bench"))
    job = pb.ClaimJobResponse.from_binary(claimed)
    done = pb.CompleteJobRequest(job_id=job.job_id or "", worker_id="bench", lease=job.lease)
    await call(b"CompleteJob", done)
    return 1


STEPS = {"submits": submit, "batched_jobs": submit_batch, "cycles": cycle}


@asynccontextmanager
async def by_connect(http: int) -> AsyncIterator[list[Call]]:
    async with connections(http, CALLERS) as pool:

        def caller(at: int) -> Call:
            async def call(method: bytes, message: Any) -> bytes:
                body = ENCODED.get(id(message)) or message.to_binary()
                return await pool[at].post(SERVICE + method, body, kind=b"application/proto")

            return call

        yield [caller(at) for at in range(CALLERS)]


@asynccontextmanager
async def by_grpc(http: int) -> AsyncIterator[list[Call]]:
    loop = asyncio.get_running_loop()
    async with connections(http, 1) as pool:
        said = await pool[0].post(SERVICE + b"GetStatus", b"", kind=b"application/proto")
    grpc = pb.BrokerStatus.from_binary(said).grpc_port
    channels = [
        (await loop.create_connection(Channel, "127.0.0.1", grpc))[1] for _ in range(CHANNELS)
    ]

    def caller(at: int) -> Call:
        async def call(method: bytes, message: Any) -> bytes:
            body = ENCODED.get(id(message)) or message.to_binary()
            return await channels[at % CHANNELS].call(SERVICE + method, body)

        return call

    try:
        yield [caller(at) for at in range(CALLERS)]
    finally:
        for channel in channels:
            channel.transport.close()


ENCODED = {id(message): message.to_binary() for message in (JOB, BATCH)}
"""What is sent again and again is encoded once: the load should cost little."""

WAYS = {"connect": by_connect, "grpc": by_grpc}


async def drive(calls: list[Call], seconds: float, step: Callable[[Call], Awaitable[int]]) -> float:
    until = time.perf_counter() + seconds
    done = 0

    async def one(call: Call) -> None:
        nonlocal done
        while time.perf_counter() < until:
            units = await step(call)
            done += units

    started = time.perf_counter()
    await asyncio.gather(*[one(call) for call in calls])
    return done / (time.perf_counter() - started)


async def run(way: str, name: str) -> None:
    with broker("memory://", "grpc") as (http, pid):
        async with WAYS[way](http) as calls:
            await drive(calls, 0.5, STEPS[name])
            before, started = cpu_s(pid), time.perf_counter()
            rate = await drive(calls, SECONDS, STEPS[name])
            share = (cpu_s(pid) - before) / (time.perf_counter() - started)
    emit(
        f"rpc.{way}_{name}_per_s",
        callers=CALLERS,
        figure=round(rate),
        target=TARGETS.get((way, name)),
        broker_cpu=round(share, 2),
    )


async def main() -> None:
    for name in STEPS:
        for way in WAYS:
            await run(way, name)


if __name__ == "__main__":
    uvloop.run(main())
