"""Time without service when the leader of two brokers goes: cleanly, by SIGKILL, with its machine.

Clients that know both brokers submit all the time; the figure is the longest time between two
acknowledged submits around each end. *Machine* is SIGKILL with nobody left to refuse a connection:
only there a standby has to wait for the time-out. Each once with an almost empty queue and once
with a state of 50,000 jobs, on local disk. Ended brokers are started again before the next round.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import aiohttp
import uvloop
from load import emit

from osqueue import OsqueueClient

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.e2e.chaos.wire import TcpProxy
from tests.integration.servers.process import free_port

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
CLIENTS = 4
BACKLOG = 50_000
BATCH = 1_000
PAYLOAD = {"to": "x" * 180}
TIMEOUT_S = 10
TARGETS_S = {"stop": 1, "kill": TIMEOUT_S + 2, "machine": TIMEOUT_S + 2}
BACKLOG_S = 2
"""What the larger state may add."""


class Broker:
    """One broker process behind a proxy of its own."""

    def __init__(self, storage: str) -> None:
        self.port = free_port()
        self.proxy = TcpProxy(self.port)
        self._storage = storage
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = {
            "storage": self._storage,
            "host": "127.0.0.1",
            "port": self.port,
            "advertise": self.proxy.address,
            "broker-heartbeat-timeout-ms": TIMEOUT_S * 1_000,
        }
        flags = [f"--{name}={value}" for name, value in options.items()]
        command = [sys.executable, "-m", "osqueue", "broker", *flags]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdout=quiet, stderr=quiet)

    def end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> None:
        assert self._process is not None
        self._process.wait(30)

    async def role(self) -> str:
        async with aiohttp.ClientSession() as session:
            with suppress(aiohttp.ClientError, OSError):
                url = f"http://127.0.0.1:{self.port}/v1/status"
                async with session.get(url) as answer:
                    return str((await answer.json())["role"])
        return ""

    async def until(self, *roles: str) -> None:
        while await self.role() not in roles:  # noqa: ASYNC110 - nothing tells us
            await asyncio.sleep(0.02)


@contextmanager
def processes(brokers: Sequence[Broker]) -> Iterator[None]:
    try:
        yield
    finally:
        for broker in brokers:
            broker.end(signal.SIGKILL)
            broker.wait()


@asynccontextmanager
async def pair(storage: str) -> AsyncIterator[list[Broker]]:
    """A leader and its standby."""
    brokers = [Broker(storage) for _ in range(2)]
    for broker in brokers:
        broker.start()
    with processes(brokers):
        for broker in brokers:
            await broker.until("leader", "standby")
            await broker.proxy.upstream(listens=True)
        yield brokers
    for broker in brokers:
        await broker.proxy.stop()


async def submit(client: OsqueueClient, acks: list[float]) -> None:
    while True:
        await client.submit_job("bench", PAYLOAD)
        acks.append(time.perf_counter())
        await asyncio.sleep(0.002)


async def leader_of(brokers: Sequence[Broker]) -> Broker:
    while True:
        for broker in brokers:
            if await broker.role() == "leader":
                return broker
        await asyncio.sleep(0.02)


async def gap(brokers: Sequence[Broker], how: str, acks: list[float]) -> float:
    """One round: the longest time without an acknowledged submit."""
    leader = await leader_of(brokers)
    (standby,) = (broker for broker in brokers if broker is not leader)
    await standby.until("standby")
    await asyncio.sleep(1)
    if how == "machine":
        await leader.proxy.cut(silent=True)
    began = time.perf_counter()
    leader.end(signal.SIGTERM if how == "stop" else signal.SIGKILL)
    if how == "kill":
        await leader.proxy.upstream(listens=False)
    await standby.until("leader")
    led = time.perf_counter()
    while acks[-1] < led:  # noqa: ASYNC110 - a handful of times
        await asyncio.sleep(0.02)
    around = [at for at in acks if at > began - 1]
    longest = max(after - before for before, after in pairwise(around))
    await asyncio.to_thread(leader.wait)
    await leader.proxy.heal()
    leader.start()
    await leader.until("standby")
    await leader.proxy.upstream(listens=True)
    return longest


async def run(how: str, backlog: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            pair(f"file://{folder}/queue") as brokers,
            OsqueueClient([f"http://{broker.proxy.address}" for broker in brokers]) as client,
        ):
            for _ in range(backlog // BATCH):
                await client.submit_jobs([("bench", PAYLOAD)] * BATCH)
            acks: list[float] = []
            submits = [asyncio.create_task(submit(client, acks)) for _ in range(CLIENTS)]
            gaps = sorted([await gap(brokers, how, acks) for _ in range(ROUNDS)])
            for task in submits:
                task.cancel()
            await asyncio.gather(*submits, return_exceptions=True)
    emit(
        f"failover.{how}_s",
        backlog=backlog,
        rounds=ROUNDS,
        p50=round(gaps[len(gaps) // 2], 2),
        max=round(gaps[-1], 2),
        target=TARGETS_S[how] + (BACKLOG_S if backlog else 0),
    )


async def main() -> None:
    for how in TARGETS_S:
        for backlog in (0, BACKLOG):
            await run(how, backlog)


if __name__ == "__main__":
    uvloop.run(main())
