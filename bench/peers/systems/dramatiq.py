"""dramatiq over Redis: a message is run by one of the threads of a worker process.

Default: the 8 threads of its command line. Best: "Command Line Reference" (threads) and "Advanced
Topics" (prefetch): each thread waits for the disk at each acknowledgement, so many share a sync.
It has no bulk call; its `group` enqueues one by one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from peers.jobs import NAME, Payload, run
from peers.producers import Calls, Threads

__all__ = ["connect", "work"]


@dataclass(frozen=True)
class Setting:
    threads: int = 8
    prefetch: int = 0
    """0: twice the threads."""


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {"default": Setting(), "best": Setting(threads=64, prefetch=1_000)}
)


class Messages:
    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker
        self._actor = dramatiq.actor(run, actor_name=NAME, broker=broker)

    def enqueue(self, payload: Payload) -> None:
        self._actor.send(payload)

    def unfinished(self) -> int:
        """A message's text is dropped when it has been acknowledged."""
        return int(self._broker.client.hlen("dramatiq:default.msgs"))


@asynccontextmanager
async def connect(setting: str, store: str) -> AsyncIterator[Calls]:
    assert setting in SETTINGS
    yield Threads(Messages(RedisBroker(url=store)))


def work(setting: str, store: str) -> None:
    chosen = SETTINGS[setting]
    os.environ["dramatiq_queue_prefetch"] = str(chosen.prefetch)  # noqa: SIM112 - its name
    from dramatiq.worker import Worker  # noqa: PLC0415 - reads the variable when it is imported

    broker = RedisBroker(url=store)
    Messages(broker)
    worker = Worker(broker, worker_threads=chosen.threads)
    worker.start()
    signal.sigwait([signal.SIGTERM])
    worker.stop()
