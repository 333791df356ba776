"""A broker, workers and a producer, each a process of its own, that speak gRPC with each other.

    python -m examples.distributed --tasks 1000 --workers 3

They could as well stand on different machines: a worker is told where the broker is, and nothing
else. Each task is a number to take apart; what comes back is multiplied again, and compared.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from osqueue import BrokerServer, Jobs, OsqueueClient


class Factor(msgspec.Struct):
    number: int


class Factored(msgspec.Struct):
    factors: list[int]
    worker: int


jobs = Jobs()


@jobs.job("number:factor", Factor, keep_result=True)
def factor(task: Factor) -> Factored:
    number, factors, divisor = task.number, [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return Factored([*factors, number], worker=os.getpid())


async def serve(storage: str) -> None:
    """The broker's process; the same as ``osqueue broker --storage …``, on free ports."""
    async with BrokerServer(storage, host="127.0.0.1", port=0, grpc_port=None) as broker:
        print(broker.url, flush=True)
        await asyncio.Event().wait()


async def produce(broker_url: str, tasks: int) -> None:
    """The producer: submit all tasks by one call, and wait for what becomes of each."""
    numbers = [10**9 + number for number in range(tasks)]
    async with OsqueueClient(broker_url, transport="grpc") as client:
        ids = await client.submit_jobs([factor.new(number=number) for number in numbers])
        results = [msgspec.convert(await client.result(each), Factored) for each in ids]
    wrong = sum(math.prod(each.factors) != n for n, each in zip(numbers, results, strict=True))
    for worker, count in sorted(Counter(each.worker for each in results).items()):
        print(f"worker {worker} did {count} tasks")
    print(f"{tasks} tasks, {wrong} wrong")


@contextmanager
def python(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process, told to stop at the end; a worker then finishes what it is at."""
    command = [sys.executable, "-m", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def main(tasks: int, workers: int) -> None:
    with ExitStack() as running, tempfile.TemporaryDirectory() as directory:
        broker = running.enter_context(python(__spec__.name, "--serve", f"file://{directory}"))
        assert broker.stdout is not None
        url = broker.stdout.readline().strip()
        worker = ("osqueue", "worker", f"{__spec__.name}:jobs", "--transport", "grpc")
        for _ in range(workers):
            running.enter_context(python(*worker, "--broker-url", url, "--concurrency", "4"))
        asyncio.run(produce(url, tasks))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--serve", metavar="STORAGE", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.serve))
    else:
        main(given.tasks, given.workers)
