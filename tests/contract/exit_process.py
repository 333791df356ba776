"""A short process that ends with calls of a cloud store under way: ``exit_process.py URL HOW``."""

from __future__ import annotations

import asyncio
import contextlib
import sys

from osqueue.errors import StorageBackendError
from osqueue.storage import open_store

CALLS = 12
"""More than the store's threads, so some have not begun when the process ends."""


async def main(url: str, how: str) -> None:
    store = open_store(url)
    with contextlib.suppress(StorageBackendError):
        await store.create(f"first/{how}", b"x" * 1_000)
    creates = [store.create(f"{how}/{n}", b"x" * 50_000) for n in range(CALLS)]
    calls = [asyncio.ensure_future(call) for call in (*creates, store.get("queue.json"))]
    await asyncio.sleep(0)
    if how == "closed":
        await store.close()
        await asyncio.gather(*calls, return_exceptions=True)
    if how == "failing":
        raise SystemExit(3)
    # "open": the loop ends, cancels the calls, and nobody closes the store


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
