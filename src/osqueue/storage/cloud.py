"""What the cloud stores share: keys below a prefix, threads, and lazy listings.

A `Bucket` is one library's blocking side; `CloudStore` is the store protocol around it. The
constructors are `osqueue.storage.s3`, `azure` and `gcs`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Protocol

from osqueue.config import STORE_ANSWER_S_MAX
from osqueue.errors import ConfigError
from osqueue.storage.keys import check_key, is_key, may_begin_key
from osqueue.storage.prefixes import check_prefix
from osqueue.storage.protocol import Stored, Version
from osqueue.storage.threads import Lane, StoreThreads

__all__ = [
    "LIST_PAGE_KEYS",
    "READ_RETRY_SHARE",
    "TIMEOUT_S",
    "Bucket",
    "CloudStore",
    "check_timeout",
    "content_type",
    "require",
]

TIMEOUT_S = 15.0
"""Longest wait of the library for one answer. Below `STORE_ANSWER_S_MAX`, so that a thread whose
call hangs is free again before its caller gives up."""

READ_RETRY_SHARE = 1 / 3
"""A read that fails is sent again during this share of the time-out; the last try may then take
all of it, and 4/3 of 15 s are just `STORE_ANSWER_S_MAX`."""

LIST_PAGE_KEYS = 1_000
"""Keys of one page of a listing: the most that the stores answer at once."""


class Bucket(Protocol):
    """A bucket or container. Keys are whole, every method blocks, and errors are the store's."""

    def get(self, key: str, unless: Version | None) -> Stored | None: ...

    def head(self, key: str) -> Version: ...

    def create(self, key: str, data: bytes) -> Version: ...

    def put(self, key: str, data: bytes, if_version: Version) -> Version: ...

    def delete(self, key: str) -> None: ...

    def last_modified_ms(self, key: str) -> int | None: ...

    def pages(self, prefix: str) -> Iterator[Sequence[str]]:
        """All keys that begin with ``prefix``, and perhaps others before and after, ascending."""
        ...

    def close(self) -> None: ...


class CloudStore:
    """A bucket seen through a prefix, as a store."""

    def __init__(self, bucket: Bucket, *, url: str, prefix: str) -> None:
        check_prefix(prefix)
        self._bucket = bucket
        self._url = url
        self._prefix = prefix
        self._threads = StoreThreads()

    @property
    def url(self) -> str:
        return self._url

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        lane = Lane.TRANSFER if unless is None else Lane.STATE
        return await self._threads.run(lane, partial(self._bucket.get, self._whole(key), unless))

    async def head(self, key: str) -> Version:
        return await self._threads.run(Lane.STATE, partial(self._bucket.head, self._whole(key)))

    async def create(self, key: str, data: bytes) -> Version:
        work = partial(self._bucket.create, self._whole(key), data)
        return await self._threads.run(Lane.TRANSFER, work)

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        work = partial(self._bucket.put, self._whole(key), data, if_version)
        return await self._threads.run(Lane.STATE, work)

    async def delete(self, key: str) -> None:
        work = partial(self._bucket.delete, self._whole(key))
        await self._threads.run(Lane.TRANSFER, work)

    async def last_modified_ms(self, key: str) -> int | None:
        """When an object was written, by the store's clock, in whole seconds."""
        work = partial(self._bucket.last_modified_ms, self._whole(key))
        return await self._threads.run(Lane.TRANSFER, work)

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        if not may_begin_key(prefix):
            return
        wanted = self._prefix + prefix
        pages = self._bucket.pages(wanted)
        while (
            page := await self._threads.run(Lane.TRANSFER, partial(next, pages, None))
        ) is not None:
            for whole in page:
                key = whole.removeprefix(self._prefix)
                if whole.startswith(wanted) and is_key(key):
                    yield key
            if page and not page[-1].startswith(wanted) and page[-1] > wanted:
                return

    async def close(self) -> None:
        """Finish what was begun, then end threads and connections. A second close does nothing."""
        await self._threads.close()
        self._bucket.close()

    def _whole(self, key: str) -> str:
        check_key(key)
        return self._prefix + key


def check_timeout(timeout_s: float) -> None:
    """Raise `ConfigError` for a time-out that makes no sense."""
    if not 0 < timeout_s <= STORE_ANSWER_S_MAX:
        raise ConfigError(
            f"timeout: more than 0 and at most {STORE_ANSWER_S_MAX} seconds, not {timeout_s:g}"
        )


def content_type(key: str) -> str:
    """What an object of this key is said to be: whoever looks with a browser sees the state."""
    return "application/json" if key.endswith(".json") else "application/octet-stream"


def require(package: str, *, extra: str) -> None:
    """Raise `ConfigError` unless a store's library is installed."""
    try:
        import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"this kind of store needs another package: pip install 'osqueue[{extra}]'"
        ) from error
