"""A durable queue inside of one program: no broker, no server, no port.

    python -m examples.embedded file:pictures push cat.jpg dog.jpg
    python -m examples.embedded file:pictures work

What was pushed is on disk. Kill the one that works at any moment: the next one goes on from there,
once it is sure that the first is dead. The job that was being worked on is due again half a minute
later.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

from osqueue import Queue


@dataclass
class Resize:
    picture: str
    width: int = 640


async def push(queue: Queue[Resize], pictures: list[str]) -> None:
    await queue.push_many(Resize(picture) for picture in pictures)
    print(f"pushed {len(pictures)} jobs")


async def work(queue: Queue[Resize]) -> None:
    """Until nothing is left; a service would wait for more: ``async for job in q.consume()``."""
    while job := await queue.claim():
        async with job:  # done at the end of this block; tried again later if it raises
            print(f"{job.payload.picture} is {job.payload.width} pixels wide", flush=True)


async def main(storage: str, command: str, *pictures: str) -> None:
    async with Queue(Resize, storage=storage) as queue:
        await (push(queue, list(pictures)) if command == "push" else work(queue))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
