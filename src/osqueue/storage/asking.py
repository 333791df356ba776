"""Asking a store with patience: again while nothing was applied, and with an eye on the time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from osqueue.clock import Clock, Entropy
from osqueue.errors import (
    StorageBackendError,
    StoreBusyError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from osqueue.storage.protocol import HasClock, Store, Stored, Version, layers

__all__ = ["PatientStore"]

T = TypeVar("T")

TRIES_MAX = 5
"""Tries of a call that was not applied: with the pauses between them more than the second that
the slowest stores want between two writes of one object."""

PAUSE_FIRST_MS = 100


class PatientStore:
    """A store's operations. `StoreBusyError` and `StoreUnavailableError` come after several tries;
    a write of unknown fate is never repeated.
    """

    def __init__(self, store: Store, *, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self.write_ms: list[int] = []
        """How long each write took that was applied."""
        self.read_ms: list[int] = []

    async def create(self, key: str, data: bytes) -> Version:
        return await self._timed(self.write_ms, partial(self._store.create, key, data))

    async def put(self, key: str, data: bytes, version: Version) -> Version:
        work = partial(self._store.put, key, data, if_version=version)
        return await self._timed(self.write_ms, work)

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        return await self._timed(self.read_ms, partial(self._store.get, key, unless=unless))

    async def find(self, key: str) -> Stored | None:
        """The object, or ``None`` when there is none."""
        try:
            return await self.get(key)
        except StoreNotFoundError:
            return None

    async def delete(self, key: str) -> None:
        await self._again(partial(self._store.delete, key))

    async def keys(self, prefix: str) -> list[str]:
        async def listed() -> list[str]:
            return [key async for key in self._store.list(prefix)]

        return await self._again(listed)

    async def last_modified_ms(self, key: str) -> int | None:
        """When the store says that it was written; ``None`` when it does not say."""
        clock = next((layer for layer in layers(self._store) if isinstance(layer, HasClock)), None)
        try:
            return None if clock is None else await clock.last_modified_ms(key)
        except StorageBackendError:
            return None  # good to know, and nothing depends on it

    async def pause(self, number: int) -> None:
        """Give the store time: each pause is about twice as long as the one before."""
        longest_ms = PAUSE_FIRST_MS << number
        await asyncio.sleep(longest_ms * (1 + self._entropy.jitter()) / 2_000)

    async def _again(self, work: Callable[[], Awaitable[T]]) -> T:
        for number in range(TRIES_MAX - 1):
            try:
                return await work()
            except (StoreBusyError, StoreUnavailableError):
                await self.pause(number)
        return await work()

    async def _timed(self, times: list[int], work: Callable[[], Awaitable[T]]) -> T:
        async def measured() -> T:
            began = self._clock.mono_ms()
            answer = await work()
            times.append(self._clock.mono_ms() - began)
            return answer

        return await self._again(measured)
