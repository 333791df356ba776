"""A broker in a process of its own: prints its address, and serves until it is killed.

Arguments: the storage's URL, the port.
"""

from __future__ import annotations

import asyncio
import sys

from osqueue.app import BrokerServer


async def main() -> None:
    async with BrokerServer(sys.argv[1], host="127.0.0.1", port=int(sys.argv[2])) as broker:
        print(broker.address, flush=True)  # noqa: T201 - the test reads it
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
