"""A process that counts up one object by compare-and-swap. Run by `test_local_crash`.

``counter_process.py DIRECTORY COUNT TASKS``: says ``ready``, waits for a line, then adds ``COUNT``
in ``TASKS`` tasks that race, and prints each value when it is acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator

from osqueue.errors import CASConflictError
from osqueue.storage import LocalBackend

KEY = "queue.json"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def count(store: LocalBackend, turns: Iterator[int]) -> None:
    for _ in turns:
        while True:
            stored = await store.get(KEY)
            assert stored is not None
            value = json.loads(stored.data)["value"] + 1
            data = json.dumps({"value": value, "filler": "x" * 2_000}).encode()
            try:
                await store.put(KEY, data, if_version=stored.version)
            except CASConflictError:
                continue
            say(str(value))
            break


async def main(directory: str, total: int, tasks: int) -> None:
    stores = [LocalBackend(directory), LocalBackend(directory)]
    turns = iter(range(total))
    say("ready")
    sys.stdin.readline()
    await asyncio.gather(*(count(stores[n % 2], turns) for n in range(tasks)))
    for store in stores:
        await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
