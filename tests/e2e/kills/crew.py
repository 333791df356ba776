"""Workers to be killed: ``python -m tests.e2e.kills.crew URL LOG``.

Each line on stdin forks another one, from a process that has loaded everything, so that it is at
work within milliseconds; its process id is printed. A worker notes when a job begins and when it is
done, in a file that is only appended to.
"""

from __future__ import annotations

import asyncio
import os
import sys
from random import SystemRandom  # noqa: TID251 - how long jobs take

import aiohttp  # noqa: F401 - so that no worker has to load it

from osqueue.client import OsqueueClient
from osqueue.client.transports import ws  # noqa: F401 - the same
from osqueue.config import WorkerSettings
from osqueue.worker import JobContext, Worker

SETTINGS = WorkerSettings(wait_ms=5_000, heartbeat_interval_ms=200, poll_ms=10)
CONCURRENCY = 8
AHEAD = 4
JOB_S_MAX = 0.01


async def work(url: str, log: int) -> None:
    random = SystemRandom()

    async def handle(_payload: object, ctx: JobContext) -> None:
        os.write(log, f"began {ctx.job_id}\n".encode())
        await asyncio.sleep(random.random() * JOB_S_MAX)
        os.write(log, f"done {ctx.job_id}\n".encode())

    async with OsqueueClient(url, transport="ws") as client:
        worker = Worker(client, {"job": handle}, CONCURRENCY, prefetch=AHEAD, settings=SETTINGS)
        await worker.run()


def main() -> None:
    url, path = sys.argv[1:]
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(work(url, log))
            os._exit(0)
        print(pid, flush=True)
        _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


if __name__ == "__main__":
    main()
