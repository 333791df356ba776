"""What the parts of one worker share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from osqueue.client.client import OsqueueClient
from osqueue.config import WorkerSettings
from osqueue.worker.leases import LeaseBook
from osqueue.worker.persistence import Persistence

__all__ = ["Changes", "WorkerContext"]


class Changes:
    """Wakes whoever waits for the lease book to be in some state."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Something in the book has changed."""
        self._event.set()
        self._event.clear()

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until ``true()``; it is looked at again after each change."""
        while not true():
            await self._event.wait()


class WorkerContext(msgspec.Struct, frozen=True, kw_only=True):
    """``client`` does not retry by itself: the worker does, so that it can say so."""

    client: OsqueueClient
    worker_id: str
    settings: WorkerSettings
    book: LeaseBook
    changes: Changes

    def persistence(self, what: str) -> Persistence:
        """Repeats requests of one kind."""
        return Persistence(what, self.client.settings, self.client.runtime)
