"""The archive as its readers see it: immutable JSON Lines objects, by hour.

Laws: a batch is never changed; a job is looked for in the newest batch first. The names of all
batches stand in memory once `load` has listed them, so a lookup lists nothing and reads only the
batches whose name says that they may hold the id. Where those stand is no matter: whoever made the
id and whoever sealed the batch may have had clocks that were hours apart.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from itertools import islice

import msgspec

from osqueue.config import (
    ARCHIVE_FOUND_BYTES_MAX,
    ARCHIVE_LOOKUP_OBJECTS_MAX,
    ARCHIVE_LOOKUPS_MAX,
    STORE_ANSWER_S_MAX,
)
from osqueue.engine.sought import Found, Sought
from osqueue.errors import (
    OverloadedError,
    StorageBackendError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from osqueue.model.batches import ARCHIVE_PREFIX, BatchName, id_time
from osqueue.storage.protocol import Store

__all__ = ["Archive", "list_batches"]

DELETES_FAILED_MAX = 3
"""Failures after which a sweep gives up: one object may be protected, three mean the store."""

_encode = msgspec.json.Encoder().encode


async def list_batches(store: Store) -> AsyncIterator[BatchName]:
    """The batches of a store, by hour. What else stands under the prefix is passed over."""
    async for key in store.list(ARCHIVE_PREFIX):
        name = BatchName.parse(key)
        if name is not None:
            yield name


class _Hour(msgspec.Struct):
    """The batches of an hour, by time, and the range of all their ids' times."""

    names: list[BatchName]
    first: int
    last: int

    def add(self, name: BatchName) -> None:
        at = bisect_left(self.names, name)
        if at == len(self.names) or self.names[at] != name:
            insort(self.names, name)
        self.first, self.last = min(self.first, name.first), max(self.last, name.last)

    def may_hold(self, time: int | None) -> bool:
        return time is None or self.first <= time <= self.last


class Archive:
    """The batches of one queue, and how to find a job in them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._hours: dict[str, _Hour] = {}
        self._loaded = asyncio.Event()
        self._lookups = 0
        self._last_read: tuple[str, bytes] | None = None

    async def load(self) -> None:
        """List what is there. Raises the store's errors; then it may be called again."""
        async for name in list_batches(self._store):
            self.add(name)
        self._loaded.set()

    def add(self, name: BatchName) -> None:
        """Know of a batch."""
        if name.hour not in self._hours:
            self._hours[name.hour] = _Hour([], name.first, name.last)
        self._hours[name.hour].add(name)

    async def delete_before(self, hour: str) -> int:
        """Delete the batches of earlier hours; how many.

        One that cannot be deleted does not keep the others. Raises the store's error at the end.
        """
        deleted, failed = 0, 0
        error: StorageBackendError | None = None
        for name in self._before(hour):
            try:
                await self._store.delete(name.key)
            except StorageBackendError as failure:
                error, failed = error or failure, failed + 1
                if failed == DELETES_FAILED_MAX:
                    break
            else:
                self._forget(name)
                deleted += 1
        if error is not None:
            raise error
        return deleted

    def _before(self, hour: str) -> list[BatchName]:
        hours = sorted(known for known in self._hours if known < hour)
        return [name for old in hours for name in self._hours[old].names]

    def _forget(self, name: BatchName) -> None:
        if self._last_read is not None and self._last_read[0] == name.key:
            self._last_read = None
        names = self._hours[name.hour].names
        names.remove(name)
        if not names:
            del self._hours[name.hour]

    async def find(self, job_id: str) -> bytes | None:
        """The JSON of an ended job, or ``None``. Raises the store's errors.

        Waits until the batches have been listed. `OverloadedError` when too many look at once.
        """
        async with self._looking():
            return await self._find(job_id)

    async def find_many(self, job_ids: Collection[str]) -> Found:
        """The JSON of the ended jobs among these, each batch read once. Raises as `find`."""
        async with self._looking():
            await self._loaded.wait()
            return await self._search(Sought(job_ids))

    async def listed(self) -> Archive:
        """The same, once its batches have been listed. Raises `StoreUnavailableError`."""
        async with self._looking():
            await self._loaded.wait()
            return self

    def newest(self) -> BatchName | None:
        """The batch that was sealed last, of those that are in the archive."""
        return self._hours[max(self._hours)].names[-1] if self._hours else None

    def downward(self, name: BatchName, most: int | None = None) -> list[BatchName]:
        """A batch, if it is there, and those that were sealed before it, newest first."""
        return list(islice(self._down_from(name), most))

    async def read(self, name: BatchName) -> bytes | None:
        """The lines of a batch, whole or not; ``None`` when it is there no more.

        The last one, if it came whole, is kept: whoever leafs through it asks for it page by page.
        Raises as `find`.
        """
        if self._last_read is not None and self._last_read[0] == name.key:
            return self._last_read[1]
        async with self._looking():
            try:
                stored = await self._store.get(name.key)
            except StoreNotFoundError:
                return None
            assert stored is not None, "only a read with a version is answered by nothing"
            if stored.data.endswith(b"\n"):
                self._last_read = name.key, stored.data
            return stored.data

    @asynccontextmanager
    async def _looking(self) -> AsyncIterator[None]:
        """One of the few who may look at a time, and for so long."""
        if self._lookups >= ARCHIVE_LOOKUPS_MAX:
            raise OverloadedError("too many jobs are being looked up in the archive; try again")
        self._lookups += 1
        try:
            async with asyncio.timeout(STORE_ANSWER_S_MAX):
                yield
        except TimeoutError as error:
            message = f"the archive could not be searched within {STORE_ANSWER_S_MAX} s"
            raise StoreUnavailableError(message) from error
        finally:
            self._lookups -= 1

    def _down_from(self, name: BatchName) -> Iterator[BatchName]:
        for hour in sorted(self._hours, reverse=True):
            if hour <= name.hour:
                names = self._hours[hour].names
                yield from reversed(names[: bisect_right(names, name)])

    async def _find(self, job_id: str) -> bytes | None:
        await self._loaded.wait()
        for name in self._candidates(job_id):
            line = await self._line(name, job_id)
            if line is not None:
                return line
        return None

    async def _search(self, sought: Sought) -> Found:
        batches = [name for name in self._all_newest_first() if sought.may_be_in(name)]
        reads = 0
        for at, name in enumerate(batches):
            if not sought.may_be_in(name):
                continue  # what made it one of them has been found
            if reads == ARCHIVE_LOOKUP_OBJECTS_MAX or sought.size > ARCHIVE_FOUND_BYTES_MAX:
                return Found(sought.lines, sought.missing_of(batches[at:]))
            sought.take(await self._whole(name))
            reads += 1
        return Found(sought.lines, frozenset())

    def _all_newest_first(self) -> Iterator[BatchName]:
        for hour in sorted(self._hours, reverse=True):
            yield from reversed(self._hours[hour].names)

    def _candidates(self, job_id: str) -> list[BatchName]:
        """The batches that may hold an id, newest first."""
        time = id_time(job_id)
        names = (name for name in self._newest_first(time) if name.may_hold(time))
        return [name for name, _ in zip(names, range(ARCHIVE_LOOKUP_OBJECTS_MAX), strict=False)]

    def _newest_first(self, time: int | None) -> Iterator[BatchName]:
        """The batches of the hours in which an id of that time may have been sealed."""
        for hour in sorted(self._hours, reverse=True):
            if self._hours[hour].may_hold(time):
                yield from reversed(self._hours[hour].names)

    async def _line(self, name: BatchName, job_id: str) -> bytes | None:
        return _find_line(await self._whole(name), job_id)

    async def _whole(self, name: BatchName) -> bytes:
        """All the lines of a batch; none when it is there no more."""
        try:
            stored = await self._store.get(name.key)
        except StoreNotFoundError:
            return b""  # deleted meanwhile
        assert stored is not None, "only a read with a version is answered by nothing"
        if not stored.data.endswith(b"\n"):
            raise StoreUnavailableError(
                f"{name.key} in {self._store.url} ends in the middle of a line: it did not arrive "
                "whole, so try again, or it was damaged"
            )
        return stored.data


def _find_line(data: bytes, job_id: str) -> bytes | None:
    head = b'{"id":' + _encode(job_id) + b","
    at = 0 if data.startswith(head) else data.find(b"\n" + head) + 1
    if at == 0 and not data.startswith(head):
        return None
    return data[at : data.index(b"\n", at)]
