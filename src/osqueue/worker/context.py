"""What the parts of one worker share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from osqueue.client.client import OsqueueClient
from osqueue.config import WorkerSettings
from osqueue.worker.introduction import Introduction
from osqueue.worker.leases import LeaseBook
from osqueue.worker.persistence import Persistence

__all__ = ["Changes", "WorkerContext"]


class Changes:
    """That something has changed: told as often as it does, acted upon once a turn of the loop.

    So what ends in the same turn, such as ten handlers, is reported by one request, and its slots
    are asked for by one claim that travels along with it.
    """

    def __init__(self) -> None:
        self._told = False
        self._event = asyncio.Event()
        self.act: Callable[[], None] = lambda: None
        """What is done then, before whoever waits looks again."""

    def tell(self) -> None:
        """Something has changed."""
        if not self._told:
            self._told = True
            asyncio.get_running_loop().call_soon(self._turn)

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until ``true()``; it is looked at again after each change."""
        while not true():
            await self._event.wait()

    async def within(self, ms: int, true: Callable[[], object]) -> bool:
        """Wait until ``true()``, or for so long; answers whether it is."""
        try:
            async with asyncio.timeout(ms / 1_000):
                await self.until(true)
        except TimeoutError:
            return False
        return True

    def _turn(self) -> None:
        self._told = False
        self.act()
        self._event.set()
        self._event.clear()


class WorkerContext(msgspec.Struct, frozen=True, kw_only=True):
    """``client`` does not retry by itself: the worker does, so that it can say so."""

    client: OsqueueClient
    worker_id: str
    introduction: Introduction
    settings: WorkerSettings
    book: LeaseBook
    changes: Changes

    def persistence(self, what: str) -> Persistence:
        """Repeats requests of one kind."""
        return Persistence(what, self.client.settings, self.client.runtime)
