"""A process that writes, and prints the token of each write once that is acknowledged.

``writer_process NAME COUNTERS CREATORS TURNS URL...``: says ``ready``, waits for a line, then so
many tasks count up one object, and so many make new objects, until ``TURNS`` of each kind are
through or SIGTERM comes; what is under way then is brought to its end. A token begins with what
it was for, ``count`` or ``create``.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator

from tests.integration.counting import count, create

from osqueue.storage import Store, open_store


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def tokens_of(kind: str, turns: int, stopping: asyncio.Event) -> Iterator[str]:
    for turn in range(turns):
        if stopping.is_set():
            return
        yield f"{kind}-{turn}"


async def write(stores: list[Store], tokens: Iterator[str]) -> None:
    for token in tokens:
        await (count if token.startswith("count") else create)(stores, token)
        say(token)


async def main(name: str, counters: int, creators: int, turns: int, *urls: str) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    stores = [open_store(url) for url in urls]
    counted = tokens_of(f"count-{name}", turns, stopping)
    created = tokens_of(f"create-{name}", turns, stopping)
    say("ready")
    sys.stdin.readline()
    writers = [write(stores, counted) for _ in range(counters)]
    async with asyncio.TaskGroup() as tasks:
        for writer in [*writers, *(write(stores, created) for _ in range(creators))]:
            tasks.create_task(writer)
    for store in stores:
        await store.close()


if __name__ == "__main__":
    name, counters, creators, turns, *urls = sys.argv[1:]
    asyncio.run(main(name, int(counters), int(creators), int(turns), *urls))
