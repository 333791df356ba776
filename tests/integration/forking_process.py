"""A process of its own that speaks gRPC, on uvloop, and starts subprocesses all the while.

Prints how many of them ended with which code.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from typing import Final

import uvloop

from osqueue.app import BrokerServer
from osqueue.wire.methods import SERVICE

CALLERS: Final = 8
SUBPROCESSES: Final = 200


async def _call(port: int | None) -> None:
    from grpc.aio import insecure_channel  # noqa: PLC0415 - it is osqueue that imports gRPC first

    while True:
        options = (("grpc.use_local_subchannel_pool", 1),)
        async with insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            ask = channel.unary_unary(f"/{SERVICE}/GetStats")
            for _ in range(20):
                await ask(b"")


async def main() -> None:
    true = shutil.which("true")
    assert true is not None, "every system has it"
    ends: Counter[int] = Counter()
    async with BrokerServer("memory://", host="127.0.0.1", port=0, grpc_port=None) as broker:
        calling = [asyncio.create_task(_call(broker.grpc_port)) for _ in range(CALLERS)]
        for _ in range(SUBPROCESSES):
            process = await asyncio.create_subprocess_exec(true)
            ends[await process.wait()] += 1
        assert not any(task.done() for task in calling), "they call all the while"
        for task in calling:
            task.cancel()
        await asyncio.gather(*calling, return_exceptions=True)
    print(dict(ends))  # noqa: T201 - read by the test


if __name__ == "__main__":
    uvloop.run(main())
