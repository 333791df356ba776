"""What a system must be able to do to be measured, and one way to call both kinds of producer.

A producer that blocks is called as a program with threads would: many callers are as many threads.
One that is awaited is called from one loop: many callers are as many tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from peers.jobs import Payload

__all__ = ["CALLERS", "AsyncProducer", "Calls", "Producer", "System", "Tasks", "Threads"]

CALLERS = 64
"""How many enqueue at once; what a pool of connections must allow."""


class Producer(Protocol):
    """Puts jobs into a queue; each call returns when the queue has taken them."""

    def enqueue(self, payload: Payload) -> None: ...

    def unfinished(self) -> int:
        """Jobs that wait, run, or have run without the queue having been told."""


class AsyncProducer(Protocol):
    """The same, awaited."""

    async def enqueue(self, payload: Payload) -> None: ...

    async def unfinished(self) -> int: ...


class Calls(Protocol):
    """How the benchmark calls a producer of either kind."""

    async def enqueue(self, payload: Payload) -> None: ...

    async def enqueue_bulk(self, payloads: Sequence[Payload]) -> None:
        """All of them, by the best way that the system has for it."""

    async def enqueue_by(self, callers: int, payloads: Sequence[Payload]) -> None:
        """Many at once, each with one job at a time."""

    async def unfinished(self) -> int: ...


class System(Protocol):
    """What each module of `peers.systems` has. ``store`` says where its queue is, as a URL."""

    def connect(self, setting: str, store: str) -> AbstractAsyncContextManager[Calls]:
        """A producer of a queue that is ready."""

    def work(self, setting: str, store: str) -> None:
        """Be its worker, until the process is terminated."""


class Threads:
    """Calls a producer that blocks. ``bulk``: its own call for many, if there is one."""

    def __init__(
        self, producer: Producer, bulk: Callable[[Sequence[Payload]], None] | None = None
    ) -> None:
        self._producer = producer
        self._bulk = bulk

    async def enqueue(self, payload: Payload) -> None:
        self._producer.enqueue(payload)

    async def enqueue_bulk(self, payloads: Sequence[Payload]) -> None:
        if self._bulk is None:
            await self.enqueue_by(CALLERS, payloads)
        else:
            self._bulk(payloads)

    async def enqueue_by(self, callers: int, payloads: Sequence[Payload]) -> None:
        left = iter(payloads)  # one for all: each thread gets another job from it
        with ThreadPoolExecutor(callers) as pool:
            lanes = [pool.submit(_drive, self._producer.enqueue, left) for _ in range(callers)]
        for lane in lanes:
            lane.result()

    async def unfinished(self) -> int:
        return self._producer.unfinished()


class Tasks:
    """Calls a producer that is awaited. ``bulk``: its own call for many, if there is one."""

    def __init__(
        self,
        producer: AsyncProducer,
        bulk: Callable[[Sequence[Payload]], Awaitable[None]] | None = None,
    ) -> None:
        self.enqueue = producer.enqueue
        self.unfinished = producer.unfinished
        self._bulk = bulk

    async def enqueue_bulk(self, payloads: Sequence[Payload]) -> None:
        if self._bulk is None:
            await self.enqueue_by(CALLERS, payloads)
        else:
            await self._bulk(payloads)

    async def enqueue_by(self, callers: int, payloads: Sequence[Payload]) -> None:
        left = iter(payloads)
        async with asyncio.TaskGroup() as lanes:
            for _ in range(callers):
                lanes.create_task(_drive_async(self.enqueue, left))


def _drive(enqueue: Callable[[Payload], None], left: Iterator[Payload]) -> None:
    for payload in left:
        enqueue(payload)


async def _drive_async(
    enqueue: Callable[[Payload], Awaitable[None]], left: Iterator[Payload]
) -> None:
    for payload in left:
        await enqueue(payload)
