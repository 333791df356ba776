"""A broker in a process of its own: prints its address, and serves until it is killed.

Arguments: the storage's URL, the port; "grpc" to serve that on any port.
"""

from __future__ import annotations

import asyncio
import sys

from osqueue.app import BrokerServer


async def main() -> None:
    storage, port = sys.argv[1], int(sys.argv[2])
    grpc_port = None if "grpc" in sys.argv else 0
    async with BrokerServer(storage, host="127.0.0.1", port=port, grpc_port=grpc_port) as broker:
        print(broker.address, flush=True)  # noqa: T201 - the test reads it
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
