"""A process that submits to a queue without a broker, and works for it, until stdin ends.

Arguments: the storage's URL, how many jobs to submit, the file to note each run in.
"""

from __future__ import annotations

import asyncio
import os
import sys

from osqueue.brokerless import open_brokerless
from osqueue.config import (
    ArchiveSettings,
    BrokerSettings,
    LeadershipSettings,
    QueueLimits,
    WorkerSettings,
)
from osqueue.errors import OsqueueError
from osqueue.worker import JobContext, Worker

SETTINGS = BrokerSettings(
    limits=QueueLimits(lease_timeout_ms=3_000),
    leadership=LeadershipSettings(heartbeat_interval_ms=100, heartbeat_timeout_ms=600),
    archive=ArchiveSettings(linger_ms=500),
)


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def main(url: str, count: int, notes: str) -> None:
    log = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def note(number: int, job: JobContext) -> None:
        os.write(log, f"{job.job_id}\n".encode())
        await asyncio.sleep(0.01 * (number % 3))

    pace = WorkerSettings(heartbeat_interval_ms=500, poll_ms=50, grace_ms=500, settle_ms=200)
    async with (
        open_brokerless(url, settings=SETTINGS) as queue,
        Worker(queue.client, {"note": note}, 2, settings=pace),
    ):
        ended = asyncio.create_task(queue.wait_ended())
        try:
            for number in range(count):
                say("submitted", await queue.client.submit_job("note", number))
        except OsqueueError as error:
            say("refused", error.applied, error.leader)
        stopped = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            say("ended", ended.result().leader)
        ended.cancel()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
