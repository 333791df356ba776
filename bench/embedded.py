"""How fast an embedded queue takes and hands out jobs, in memory and on a directory, as JSON lines.

python bench/embedded.py
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from osqueue import Queue
from osqueue.config import BATCH_JOBS_MAX
from osqueue.embedded import QueueJob

TEXT = "x" * 180
"""A job of 200 bytes."""


class Note(msgspec.Struct):
    text: str


async def push_one_by_one(q: Queue[Note], count: int) -> None:
    for _ in range(count):
        await q.push(Note(TEXT))


async def push_side_by_side(q: Queue[Note], count: int) -> None:
    """64 callers."""

    async def push(number: int) -> None:
        for _ in range(number):
            await q.push(Note(TEXT))

    await asyncio.gather(*[push(count // 64) for _ in range(64)])


async def push_many(q: Queue[Note], count: int) -> None:
    notes = [Note(TEXT)] * BATCH_JOBS_MAX
    for _ in range(count // BATCH_JOBS_MAX):
        await q.push_many(notes)


async def consume(q: Queue[Note], count: int) -> None:
    left = count
    async for _ in q.consume():
        left -= 1
        if not left:
            break


async def consume_in_loops(q: Queue[Note], count: int) -> None:
    """Ten loops."""
    await asyncio.gather(*[consume(q, count // 10) for _ in range(10)])


async def consume_concurrently(q: Queue[Note], count: int) -> None:
    """One loop that works on a hundred at a time."""
    left = count

    async def work(job: QueueJob[Note]) -> None:
        async with job:
            pass

    async with asyncio.TaskGroup() as tasks:
        async for job in q.consume(concurrency=100):
            tasks.create_task(work(job))
            left -= 1
            if not left:
                break


Part = Callable[[Queue[Note], int], Awaitable[None]]

PARTS: list[tuple[Part, int, bool]] = [
    (push_one_by_one, 500, False),
    (push_side_by_side, 6_400, False),
    (push_many, 20_000, False),
    (consume, 500, True),
    (consume_in_loops, 2_000, True),
    (consume_concurrently, 10_000, True),
]


@asynccontextmanager
async def queue(kind: str) -> AsyncIterator[Queue[Note]]:
    with tempfile.TemporaryDirectory() as directory:
        storage = "memory://" if kind == "memory" else f"file://{directory}/queue"
        async with Queue(Note, storage=storage) as q:
            yield q


async def measure(kind: str, part: Part, count: int, *, filled: bool) -> None:
    async with queue(kind) as q:
        if filled:
            await push_many(q, max(count, BATCH_JOBS_MAX))
        before = (await q.client.get_status()).commits
        began = time.perf_counter()
        await part(q, count)
        took_s = time.perf_counter() - began
        commits = (await q.client.get_status()).commits - before
    figure = {
        "bench": f"embedded {part.__name__}",
        "store": kind,
        "jobs": count,
        "jobs_per_s": round(count / took_s),
        "commits": commits,
    }
    sys.stdout.write(json.dumps(figure) + "\n")
    sys.stdout.flush()


async def main() -> None:
    for kind in ("memory", "file"):
        for part, count, filled in PARTS:
            await measure(kind, part, count, filled=filled)


if __name__ == "__main__":
    asyncio.run(main())
