"""Figures of one broker process over REST with memory storage, load from this process.

Prints submits, batches and whole cycles per second, empty and with a backlog, and what the broker
spent of its core meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import uvloop
from load import Connection, connections, drive, emit

CONNECTIONS = 256
SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
BACKLOG = 50_000
JOB = b'{"payload":{"to":"' + b"x" * 180 + b'"},"type":"email:send"}'
BATCH = b'{"jobs":[' + b",".join([JOB] * 100) + b"]}"


class Claimed(msgspec.Struct, rename="camel"):
    job_id: str
    lease: str


decode = msgspec.json.Decoder(Claimed).decode


@contextmanager
def broker(
    storage: str = "memory://", *options: str, tokens: str = ""
) -> Iterator[tuple[int, int]]:
    """A broker process; its port and its process id. ``tokens``: those that it asks for."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("serve.py")), storage, *options],
        env={**os.environ, "OSQUEUE_TOKENS": tokens},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline()), process.pid
    finally:
        process.terminate()
        process.wait(30)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def submit(connection: Connection) -> int:
    await connection.post(b"/v1/jobs", JOB)
    return 1


async def submit_batch(connection: Connection) -> int:
    await connection.post(b"/v1/jobs/batch", BATCH)
    return 100


async def cycle(connection: Connection) -> int:
    await connection.post(b"/v1/jobs", JOB)
    job = decode(await connection.post(b"/v1/jobs/claim", b'{"workerId":"bench"}'))
    path = f"/v1/jobs/{job.job_id}/complete".encode()
    await connection.post(path, b'{"workerId":"bench","lease":"%b"}' % job.lease.encode())
    return 1


async def run(name: str, backlog: int, target: int | None) -> float:
    step = {"submits": submit, "batched_jobs": submit_batch, "cycles": cycle}[name]
    with broker() as (port, pid):
        async with connections(port, CONNECTIONS) as pool:
            for _ in range(backlog // 100):
                await pool[0].post(b"/v1/jobs/batch", BATCH)
            await drive(pool, 0.5, step)
            before, started = cpu_s(pid), time.perf_counter()
            rate: float = await drive(pool, SECONDS, step)
            share = (cpu_s(pid) - before) / (time.perf_counter() - started)
    emit(
        f"rest.{name}_per_s",
        backlog=backlog,
        connections=CONNECTIONS,
        figure=round(rate),
        target=target,
        broker_cpu=round(share, 2),
    )
    return rate


async def main() -> None:
    for name, target in (("submits", 8_000), ("batched_jobs", 100_000), ("cycles", 4_000)):
        empty = await run(name, 0, target)
        full = await run(name, BACKLOG, None)
        emit(f"rest.{name}_backlog_over_empty", ratio=round(full / empty, 2), target=0.75)


if __name__ == "__main__":
    uvloop.run(main())
