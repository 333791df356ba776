"""A broker process that takes faults from its stdin, one command a line.

``store up|refuse|hang`` cuts it from its store; ``late`` holds its next write of the state for a
second, in which it can be stopped; ``clock <ms>`` sets its wall clock off by so much. Its one
argument is an `EntryPlan` as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys

import msgspec
import uvloop
from tests.e2e.chaos.switched_store import SwitchedStore

from osqueue.app import BrokerServer
from osqueue.cli.logs import LogFormat, LogLevel, start_logging
from osqueue.clock import SystemClock
from osqueue.config import (
    ArchiveSettings,
    BrokerSettings,
    LeadershipSettings,
    QueueLimits,
    ServerSettings,
)
from osqueue.storage import open_store


class EntryPlan(msgspec.Struct, frozen=True, kw_only=True):
    storage: str
    port: int
    grpc_port: int
    advertise: str
    heartbeat_ms: int
    timeout_ms: int
    lease_ms: int
    linger_ms: int
    wall_off_ms: int = 0

    def settings(self) -> BrokerSettings:
        return BrokerSettings(
            server=ServerSettings(host="127.0.0.1", port=self.port, grpc_port=self.grpc_port),
            limits=QueueLimits(lease_timeout_ms=self.lease_ms),
            leadership=LeadershipSettings(
                heartbeat_interval_ms=self.heartbeat_ms, heartbeat_timeout_ms=self.timeout_ms
            ),
            archive=ArchiveSettings(linger_ms=self.linger_ms),
        )


class SteppedClock(SystemClock):
    """The clocks of this machine, the wall clock off by ``off_ms``."""

    def __init__(self, off_ms: int) -> None:
        self.off_ms = off_ms

    def wall_ms(self) -> int:
        return super().wall_ms() + self.off_ms


def obey(command: str, clock: SteppedClock, store: SwitchedStore) -> None:
    match command.split():
        case ["store", mode]:
            store.switch(mode)
        case ["late"]:
            store.hold_next()
        case ["clock", off_ms]:
            clock.off_ms = int(off_ms)
        case words:
            raise ValueError(f"no such command: {words}")


async def listen(clock: SteppedClock, store: SwitchedStore) -> None:
    """Obey until the harness is gone; then there is nothing to live for."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        obey(line.decode(), clock, store)
    os._exit(3)


async def main() -> None:
    plan = msgspec.json.decode(sys.argv[1], type=EntryPlan)
    clock = SteppedClock(plan.wall_off_ms)
    store = SwitchedStore(open_store(plan.storage))
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    listening = asyncio.create_task(listen(clock, store), name="chaos-commands")
    broker = BrokerServer(store, advertise=plan.advertise, settings=plan.settings(), clock=clock)
    async with broker:
        gc.freeze()
        waits = {asyncio.ensure_future(asked.wait()), asyncio.ensure_future(broker.wait_ended())}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    listening.cancel()
    await store.close()
    if not asked.is_set():
        logging.getLogger("chaos").error("the broker ended by itself")
        sys.exit(1)


if __name__ == "__main__":
    start_logging(LogFormat.JSON, LogLevel.INFO)
    uvloop.run(main())
