"""A broker process for the benchmarks: prints its port, serves until it is terminated."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

import uvloop

from osqueue.allocator import keep_large_buffers
from osqueue.app import BrokerServer
from osqueue.config import BrokerSettings, QueueLimits


async def main() -> None:
    settings = BrokerSettings(limits=QueueLimits(state_bytes_max=2**34))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with BrokerServer(sys.argv[1], host="127.0.0.1", port=0, settings=settings) as server:
        print(server.address.rpartition(":")[2], flush=True)
        gc.freeze()
        await stop.wait()


if __name__ == "__main__":
    keep_large_buffers()
    uvloop.run(main())
