"""A store whose calls are told to an observer: how long each took, and whether it failed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from osqueue.engine.observer import Observer
from osqueue.storage.protocol import Store, Stored, Version

__all__ = ["ObservedStore"]

T = TypeVar("T")


class ObservedStore:
    """Passes every call on. ``ticks`` tells the time in microseconds."""

    def __init__(self, inner: Store, observer: Observer, *, ticks: Callable[[], int]) -> None:
        self._inner = inner
        self._observer = observer
        self._ticks = ticks

    @property
    def inner(self) -> Store:
        return self._inner

    @property
    def url(self) -> str:
        return self._inner.url

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        return await self._told("get", self._inner.get(key, unless=unless))

    async def head(self, key: str) -> Version:
        return await self._told("head", self._inner.head(key))

    async def create(self, key: str, data: bytes) -> Version:
        return await self._told("create", self._inner.create(key, data))

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        return await self._told("put", self._inner.put(key, data, if_version=if_version))

    async def delete(self, key: str) -> None:
        await self._told("delete", self._inner.delete(key))

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        """Told at its end, with the time that its reader took."""
        began = self._ticks()
        error: str | None = None
        try:
            async for key in self._inner.list(prefix):
                yield key
        except Exception as failure:
            error = type(failure).__name__
            raise
        finally:
            self._observer.store_called("list", self._ticks() - began, error)

    async def close(self) -> None:
        await self._inner.close()

    async def _told(self, kind: str, call: Awaitable[T]) -> T:
        """Also of a call that is given up by its caller: a store may hang."""
        began = self._ticks()
        error: str | None = None
        try:
            return await call
        except BaseException as failure:
            error = type(failure).__name__
            raise
        finally:
            self._observer.store_called(kind, self._ticks() - began, error)
