"""How fast one worker process drains a backlog, and what that costs: a broker process with a
durable store on this disk, and a worker in this process.

Handlers do nothing. For each setting: jobs per second, the processor time of worker and broker per
job, and the broker's commits, how many there were for ten jobs and how long one took.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from typing import Any, NamedTuple

import uvloop
from load import emit
from rest import broker, cpu_s

from osqueue.client import NewJob, OsqueueClient
from osqueue.worker import JobContext, Worker

JOBS = int(os.environ.get("BENCH_JOBS", "10000"))
PAYLOAD = {"to": "x" * 189}  # 200 bytes of JSON
RATE_MIN = 12_000
WORKER_US_MAX = 60
COMMITS_PER_TEN_MAX = 2


class Setting(NamedTuple):
    transport: str
    concurrency: int
    prefetch: int = 0
    jobs: int = JOBS


SETTINGS = (
    Setting("connect", 10, jobs=JOBS // 5),
    Setting("ws", 10, jobs=JOBS // 5),
    Setting("ws", 10, prefetch=500),
    Setting("connect", 500),
    Setting("ws", 500),
    Setting("ws", 500, prefetch=500),
    Setting("ws", 1_000),
    Setting("ws", 1_000, prefetch=1_000),
)


class Ran:
    """Which jobs have run, and when all have been completed."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._completed = 0
        self.ids: set[str] = set()
        self.all = asyncio.Event()

    async def handle(self, _payload: Any, ctx: JobContext) -> None:
        self.ids.add(ctx.job_id)

    def completed(self, _job: object) -> None:
        self._completed += 1
        if self._completed == self._jobs:
            self.all.set()


async def drain(setting: Setting, client: OsqueueClient, broker_pid: int) -> None:
    ran = Ran(setting.jobs)
    await client.submit_jobs([NewJob("bench", PAYLOAD)] * setting.jobs)
    worker = Worker(
        client,
        {"bench": ran.handle},
        setting.concurrency,
        prefetch=setting.prefetch,
        on_job_completed=ran.completed,
    )
    commits = (await client.get_status()).commits
    broker_s, own_s, started = cpu_s(broker_pid), time.process_time(), time.perf_counter()
    async with worker:
        await ran.all.wait()
        took = time.perf_counter() - started
    own_s, broker_s = time.process_time() - own_s, cpu_s(broker_pid) - broker_s
    commits = (await client.get_status()).commits - commits
    assert len(ran.ids) == setting.jobs, "each job has run"
    emit(
        "worker.drain_per_s",
        **setting._asdict(),
        figure=round(setting.jobs / took),
        target=RATE_MIN if setting.concurrency > 100 and setting.transport == "ws" else None,
        worker_us=round(own_s / setting.jobs * 1e6),
        worker_us_target=WORKER_US_MAX,
        broker_us=round(broker_s / setting.jobs * 1e6),
        commits=commits,
        commits_per_ten=round(commits * 10 / setting.jobs, 2),
        commits_per_ten_target=COMMITS_PER_TEN_MAX,
        commit_ms=round(took / commits * 1e3, 1),
    )


async def main() -> None:
    only = sys.argv[1:]
    for setting in SETTINGS:
        if only and setting.transport not in only:
            continue
        with tempfile.TemporaryDirectory() as folder, broker(f"file://{folder}/queue") as at:
            port, pid = at
            url = f"http://127.0.0.1:{port}"
            async with OsqueueClient(url, transport=setting.transport) as client:
                await drain(setting, client, pid)


if __name__ == "__main__":
    uvloop.run(main())
