"""How long it takes to look through a queue of 100,000 jobs, and for how long that holds up others.

A broker in a process of its own, memory storage, and another process from which 500 jobs a second
go through it meanwhile. Each figure: the time of one page or answer at a REST client; what it took
to look through everything, page by page; and the longest gap in the broker's event loop meanwhile,
with the processor time that was spent in that gap (a long one without that is the machine's).
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import uvloop
from load import emit

from osqueue.allocator import collect_seldom, keep_large_buffers
from osqueue.app import BrokerServer
from osqueue.client import Job, JobError, NewJob, OsqueueClient
from osqueue.clock import SystemClock
from osqueue.config import BrokerSettings, QueueLimits

JOBS = int(os.environ.get("BENCH_JOBS", "100000"))
DEAD = JOBS // 20
HELD = JOBS // 10
DELAYED = JOBS // 20
FLOW_PER_S = 500
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
TYPES = 20
PAYLOAD = {"to": "x" * 160}
TARGET_MS = 300
TRACEBACK = "  File handlers.py, line 12, in send\n" * 30


async def tick(gaps: list[tuple[float, float]]) -> None:
    """Each gap's length, and the processor time of the process in it, in ms."""
    before, spent = time.perf_counter(), time.process_time()
    while True:
        await asyncio.sleep(0.001)
        now, cpu = time.perf_counter(), time.process_time()
        gaps.append(((now - before) * 1e3, (cpu - spent) * 1e3))
        before, spent = now, cpu


async def serve() -> None:
    """A broker that answers each line on stdin with its longest gap since the last one."""
    limits = QueueLimits(state_bytes_max=2**34, dead_max=JOBS, lease_timeout_ms=3_600_000)
    settings = BrokerSettings(limits=limits)
    gaps: list[tuple[float, float]] = []
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    async with BrokerServer(
        "memory://", host="127.0.0.1", port=0, grpc_port=0, settings=settings
    ) as server:
        print(server.url, flush=True)
        ticking = asyncio.create_task(tick(gaps))
        while await lines.readline():
            longest = max(gaps, key=lambda gap: gap[1], default=(0.0, 0.0))
            gaps.clear()
            print(*longest, flush=True)
        ticking.cancel()


async def flow(url: str) -> None:
    """500 jobs a second, submitted, claimed and completed, for ever."""
    batch = 25
    async with OsqueueClient(url, transport="rest") as client:
        while True:
            began = time.perf_counter()
            await client.submit_jobs([NewJob("flow", PAYLOAD, priority=-1)] * batch)
            jobs = await client.claim_jobs("flow", ["flow"], max_jobs=batch)
            if jobs:
                await client.complete_jobs(jobs)
            await asyncio.sleep(max(0, batch / FLOW_PER_S - (time.perf_counter() - began)))


class Broker:
    """The broker's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def longest_gap(self) -> tuple[float, float]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        length, cpu = self._read().split()
        return float(length), float(cpu)


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__)), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


async def fill(client: OsqueueClient) -> None:
    later = SystemClock().wall_ms() + 3_600_000
    for start in range(0, JOBS, 1_000):
        await client.submit_jobs(
            [
                NewJob(
                    f"type-{number % TYPES}",
                    PAYLOAD,
                    run_at=later if number < DELAYED else None,
                    max_attempts=1,
                )
                for number in range(start, min(start + 1_000, JOBS))
            ]
        )
    dying: list[Job] = []
    while len(dying) < DEAD:
        dying += await client.claim_jobs("dying", max_jobs=min(1_000, DEAD - len(dying)))
    for start in range(0, DEAD, 500):
        await asyncio.gather(
            *[
                client.fail_job(job, error(number))
                for number, job in enumerate(dying[start : start + 500], start)
            ]
        )
    for number in range(HELD // 200):
        await client.claim_jobs(f"worker-{number}", max_jobs=200)


def error(number: int) -> JobError:
    """Of about 50 kinds, no two the same."""
    message = f"user {number} was not found in shard {number % 7}: rule {'abcdefg'[number % 7]}"
    kind = f"Kind{number % 8}Error"
    return JobError(type=kind, message=message, traceback=TRACEBACK)


async def pages(client: OsqueueClient, **wanted: Any) -> AsyncIterator[tuple[float, int]]:
    """The time of each page, and how many jobs it has."""
    cursor = None
    while True:
        began = time.perf_counter()
        page = await client.list_jobs(**wanted, cursor=cursor)
        yield (time.perf_counter() - began) * 1e3, len(page.jobs)
        cursor = page.next_cursor
        if cursor is None:
            return


async def measure_pages(broker: Broker, client: OsqueueClient, name: str, **wanted: Any) -> None:
    first, each, whole = [], [], []
    times: list[float] = []
    found = 0
    broker.longest_gap()
    for _ in range(ROUNDS):
        times, found = [], 0
        async for ms, jobs in pages(client, **wanted):
            times.append(ms)
            found += jobs
            if len(times) == 50:
                break
        first.append(times[0])
        each += times
        whole.append(sum(times))
    gap, cpu = broker.longest_gap()
    emit(
        "lists.page_ms",
        filter=name,
        first=round(median(first), 1),
        slowest=round(max(each), 1),
        pages=len(times),
        all_pages=round(median(whole), 1),
        found=found,
        gap_ms=round(gap, 1),
        gap_cpu_ms=round(cpu, 1),
        target=TARGET_MS,
    )


async def measure(
    broker: Broker, name: str, ask: Callable[[], Awaitable[Any]], *, rounds: int = ROUNDS
) -> None:
    times, answer = [], None
    broker.longest_gap()
    for _ in range(rounds):
        began = time.perf_counter()
        answer = await ask()
        times.append((time.perf_counter() - began) * 1e3)
    gap, cpu = broker.longest_gap()
    emit(
        "lists.answer_ms",
        what=name,
        median=round(median(times), 1),
        slowest=round(max(times), 1),
        gap_ms=round(gap, 1),
        gap_cpu_ms=round(cpu, 1),
        answer=brief(answer),
        target=TARGET_MS,
    )


def brief(answer: Any) -> str:
    if hasattr(answer, "groups"):
        return f"{len(answer.groups)} groups of {answer.total}"
    if hasattr(answer, "jobs"):
        return f"{len(answer.jobs)} jobs"
    return repr(answer)[:80]


async def look(broker: Broker, client: OsqueueClient) -> None:
    await measure(broker, "nothing: the flow alone", lambda: asyncio.sleep(0.5))
    page = {"limit": 100}
    for name, wanted in {
        "none": {},
        "newest first": {"order": "newest"},
        "ready": {"status": "ready"},
        "delayed": {"status": "delayed", "order": "newest"},
        "in_progress": {"status": "in_progress"},
        "dead": {"status": "dead"},
        "type": {"job_type": "type-7"},
        "text in a type": {"text": "TYPE-7"},
        "text in errors": {"text": "SHARD 3"},
        "text in one error": {"text": f"user {DEAD - 1} was"},
        "text in nothing": {"text": "there is no such text"},
        "type that there is not": {"job_type": "none"},
    }.items():
        await measure_pages(broker, client, name, **page, **wanted)
    await measure_pages(broker, client, "none, 1,000 a page", limit=1_000)
    count = client.count_jobs
    await measure(broker, "count, dead", lambda: count(status="dead"))
    await measure(broker, "count, type", lambda: count(job_type="type-7"))
    await measure(broker, "count, text", lambda: count(text="shard 3"))
    await measure(broker, "count, text in nothing", lambda: count(text="no such text"))
    await measure(broker, "dead groups, first time", client.list_dead_groups, rounds=1)
    await measure(broker, "dead groups, again", client.list_dead_groups)


async def act(broker: Broker, client: OsqueueClient) -> None:
    action = client.act_on_jobs
    await measure(broker, "retry 1,000 by text", lambda: action("retry", text="shard 3"), rounds=1)
    await measure(
        broker, "cancel 1,000 by type", lambda: action("cancel", job_type="type-7"), rounds=3
    )
    await measure(broker, "ended, first page", lambda: client.list_ended(limit=100))
    await measure(
        broker,
        "ended, text in nothing",
        lambda: client.list_ended(limit=100, text="there is no such text"),
    )


async def main() -> None:
    with running("serve") as process:
        broker = Broker(process)
        async with OsqueueClient(broker.url, transport="rest") as client:
            await fill(client)
            with running("flow", broker.url):
                await asyncio.sleep(1)
                await look(broker, client)
                await act(broker, client)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        keep_large_buffers()
        collect_seldom()
        uvloop.run(serve())
    elif sys.argv[1:2] == ["flow"]:
        uvloop.run(flow(sys.argv[2]))
    else:
        uvloop.run(main())
