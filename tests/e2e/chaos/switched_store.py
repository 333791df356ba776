"""A store that can be cut off from inside its process, for stores that no proxy stands before."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

from osqueue.config import STATE_KEY
from osqueue.errors import OsqueueError, StoreUnavailableError, StoreUnknownError
from osqueue.storage import Store, Stored, Version

__all__ = ["SwitchedStore"]

HELD_S = 1.0
"""How long a late write is on its way: beyond the moment at which a stopped process goes on."""

T = TypeVar("T")
logger = logging.getLogger("chaos")


class SwitchedStore:
    """Wraps ``inner``. In a cut no request and no reply passes, not of calls under way either."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self._mode = "up"
        self._changed = asyncio.Event()
        self._hold_next = False

    @property
    def url(self) -> str:
        return self.inner.url

    def switch(self, mode: str) -> None:
        """``up``; ``refuse``: fail at once; ``hang``: fail when it is switched again."""
        if mode not in {"up", "refuse", "hang"}:
            raise ValueError(f"no such mode: {mode}")
        self._mode = mode
        self._changed.set()
        self._changed = asyncio.Event()

    def hold_next(self) -> None:
        """The next write of the state is late."""
        self._hold_next = True

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        return await self._read(partial(self.inner.get, key, unless=unless))

    async def head(self, key: str) -> Version:
        return await self._read(partial(self.inner.head, key))

    async def create(self, key: str, data: bytes) -> Version:
        return await self._write(partial(self.inner.create, key, data))

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        work = partial(self.inner.put, key, data, if_version=if_version)
        if self._hold_next and key == STATE_KEY:
            self._hold_next = False
            work = partial(_late, work)
        return await self._write(work)

    async def delete(self, key: str) -> None:
        await self._write(partial(self.inner.delete, key))

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        for key in await self._read(partial(_keys, self.inner, prefix)):
            yield key

    async def close(self) -> None:
        await self.inner.close()

    async def _read(self, work: Callable[[], Awaitable[T]]) -> T:
        error = StoreUnavailableError("cut off from the store")
        await self._passed(error)
        answer = await work()
        await self._passed(error)
        return answer

    async def _write(self, work: Callable[[], Awaitable[T]]) -> T:
        await self._passed(StoreUnavailableError("cut off from the store"))
        answer = await work()
        await self._passed(StoreUnknownError("cut off from the store before its answer"))
        return answer

    async def _passed(self, error: OsqueueError) -> None:
        if self._mode == "up":
            return
        if self._mode == "hang":
            await self._changed.wait()
        raise error


async def _late(work: Callable[[], Awaitable[T]]) -> T:
    logger.info("a write is held")
    await asyncio.sleep(HELD_S)
    try:
        answer = await work()
    except OsqueueError as error:
        logger.info("a late write was refused: %s", type(error).__name__)
        raise
    logger.info("a late write has landed")
    return answer


async def _keys(store: Store, prefix: str) -> list[str]:
    return [key async for key in store.list(prefix)]
