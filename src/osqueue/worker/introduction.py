"""What a worker tells of itself: with its first request, when the leader changes, and every now and
then. It rides along with claims and heartbeats, and is a request of its own never.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from osqueue.client.client import OsqueueClient
from osqueue.config import WORKER_TELL_MS
from osqueue.wire.messages import WorkerInfo

__all__ = ["Introduction"]

_T = TypeVar("_T")


class Introduction:
    """Says who a worker is, to whoever leads. ``client``: by which its requests go."""

    def __init__(self, client: OsqueueClient, info: WorkerInfo) -> None:
        self._client = client
        self._info = info
        self._told_ms: int | None = None
        self._told_epoch: int | None = None
        self._epoch: int | None = None
        self._met = asyncio.Event()
        """Set when another leader has answered."""

    async def with_it(self, send: Callable[[WorkerInfo | None], Awaitable[_T]]) -> _T:
        """Have a request sent, with what is to be told or with nothing."""
        answer = await (self._tell(send) if self._is_due() else send(None))
        if self._client.epoch != self._epoch:
            self._epoch = self._client.epoch
            self._met.set()
        return answer

    async def another_leader(self, epoch: int | None) -> None:
        """Wait until one has answered that is not the leader of this epoch."""
        while self._client.epoch in {None, epoch}:
            self._met.clear()
            await self._met.wait()

    async def _tell(self, send: Callable[[WorkerInfo | None], Awaitable[_T]]) -> _T:
        self._told_ms, self._told_epoch = self._now_ms(), self._client.epoch
        try:
            answer = await send(self._info)
        except Exception:
            self._told_ms = None  # who knows whether it has come through
            raise
        self._told_epoch = self._client.epoch
        return answer

    def _is_due(self) -> bool:
        return (
            self._told_ms is None
            or self._client.epoch != self._told_epoch
            or self._now_ms() - self._told_ms >= WORKER_TELL_MS
        )

    def _now_ms(self) -> int:
        return self._client.runtime.clock.mono_ms()
