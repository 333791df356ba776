"""A broker process for the benchmarks: prints its port, serves until it is terminated.

It asks for tokens if ``OSQUEUE_TOKENS`` lists some.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys

import uvloop

from osqueue.allocator import collect_seldom, keep_large_buffers
from osqueue.app import BrokerServer
from osqueue.config import AccessSettings, BrokerSettings, QueueLimits
from osqueue.storage import MemoryBackend, Store, Version, open_store


class SlowStore(MemoryBackend):
    """Memory whose writes take their time."""

    def __init__(self, latency_ms: float) -> None:
        super().__init__()
        self._latency_s = latency_ms / 1_000

    async def create(self, key: str, data: bytes) -> Version:
        await asyncio.sleep(self._latency_s)
        return await super().create(key, data)

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        await asyncio.sleep(self._latency_s)
        return await super().put(key, data, if_version=if_version)


def opened(storage: str) -> Store:
    """``slow:50``: memory with writes of 50 ms; anything else is a storage URL."""
    kind, _, latency_ms = storage.partition(":")
    return SlowStore(float(latency_ms)) if kind == "slow" else open_store(storage)


async def main() -> None:
    settings = BrokerSettings(
        limits=QueueLimits(state_bytes_max=2**34),
        access=AccessSettings(tokens=os.environ.get("OSQUEUE_TOKENS") or None),
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    store = opened(sys.argv[1])
    grpc_port = None if "grpc" in sys.argv else 0
    async with BrokerServer(
        store, host="127.0.0.1", port=0, grpc_port=grpc_port, settings=settings
    ) as server:
        print(server.address.rpartition(":")[2], flush=True)
        gc.freeze()
        await stop.wait()


if __name__ == "__main__":
    keep_large_buffers()
    collect_seldom()
    uvloop.run(main())
