"""Payload objects: written before the commit that names them, read for claims, deleted at the end.

Laws: a key is used for one write, ever, so a write of unknown fate is repeated under another key;
an object is written under the epoch that leads, and only such keys get into a commit; what cannot
be deleted now, or may have been written without our knowing, is left to the sweeper.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from osqueue.clock import Entropy
from osqueue.config import PayloadSettings
from osqueue.engine.room import Room
from osqueue.errors import (
    CASConflictError,
    OsqueueError,
    StorageBackendError,
    StoreDeniedError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from osqueue.model.job import PAYLOADS, LargePayload, checksum
from osqueue.model.jsontext import json_fault
from osqueue.storage.keys import is_key
from osqueue.storage.protocol import Store

__all__ = ["PayloadLostError", "PayloadObjects"]

logger = logging.getLogger("osqueue.engine")

T = TypeVar("T")

LOOKS_MAX = 2
"""How often an object is looked for before it counts as lost."""

DELETES_MAX = 2
"""Objects deleted at a time: nobody waits for it, and others wait for the store."""

DISCARDS_MAX = 10_000
"""Most keys that wait for being deleted: jobs can end faster than a store deletes."""

STRAY_MAX = 10_000
"""Most keys remembered for the sweeper; the next leader's finds all."""


class PayloadLostError(Exception):
    """The object of a payload is gone for good, or is not what was written."""


class PayloadObjects:
    """The payload objects of one queue, in the store of its state.

    ``incoming`` and ``outgoing`` bound what is in memory on its way; callers take their share.
    """

    def __init__(self, store: Store, settings: PayloadSettings, *, entropy: Entropy) -> None:
        self._store = store
        self._settings = settings
        self._entropy = entropy
        self._slots = asyncio.Semaphore(settings.parallel_max)
        self._deleting = asyncio.Semaphore(DELETES_MAX)
        self._thread = asyncio.Lock()
        self._stray: list[str] = []
        self._discarding = 0
        self.incoming = Room(
            settings.in_bytes_max, wait_ms=settings.room_wait_ms, what="submitted payloads"
        )
        self.outgoing = Room(
            settings.out_bytes_max, wait_ms=settings.room_wait_ms, what="claimed payloads"
        )

    async def fault(self, text: bytes) -> str | None:
        """Why a text cannot be a payload, judged without holding up the loop."""
        return await self._off_loop(len(text), lambda: json_fault(text))

    async def write(self, epoch: int, type_: str, text: bytes) -> LargePayload:
        """Keep a payload under a fresh key of this epoch.

        Raises `StorageBackendError`; nothing refers to the object then.
        """
        content = await self._sum(type_, text)
        for tries in range(self._settings.tries_max):
            key = f"{PAYLOADS}{epoch}/{self._entropy.token()}"
            try:
                await self._create(key, text)
            except StoreDeniedError as error:
                error.applied = "no"
                raise
            except (StorageBackendError, CASConflictError, TimeoutError) as error:
                logger.info("a payload object was not confirmed: %s", error)
                await self._pause(tries)
            else:
                return LargePayload(key, len(text), content)
        raise _unreached("the store did not take the payload; nothing was applied")

    async def fetch(self, large: LargePayload, type_: str) -> bytes:
        """A payload's text.

        Raises `PayloadLostError` when it is gone or damaged, `StoreUnavailableError` when that is
        not known.
        """
        if not _is_ours(large.key):
            raise PayloadLostError(f"{large.key!r} names no payload object")
        why = ""
        for _ in range(LOOKS_MAX):
            try:
                text = await self._get(large.key)
            except StoreNotFoundError:
                why = f"the payload object {large.key} is gone from the store"
                continue
            if len(text) == large.size and await self._sum(type_, text) == large.content:
                return text
            why = f"the payload object {large.key} is not what was written"
        raise PayloadLostError(why)

    async def discard(self, keys: Iterable[str]) -> None:
        """Delete objects that nothing refers to; what fails, or is too much, is left to the
        sweeper.
        """
        ours = [key for key in keys if _is_ours(key)]
        room = max(0, DISCARDS_MAX - self._discarding)
        self.leave(ours[room:])
        self._discarding += len(ours[:room])
        try:
            await asyncio.gather(*[self._delete(key) for key in ours[:room]])
        finally:
            self._discarding -= len(ours[:room])

    @property
    def strays(self) -> int:
        """How many keys are left to the sweeper."""
        return len(self._stray)

    def take_stray(self) -> list[str]:
        """The keys whose write may have been applied although it was repeated under another, and
        those that could not be deleted.
        """
        stray, self._stray = self._stray, []
        return stray

    async def _create(self, key: str, text: bytes) -> None:
        try:
            async with self._slots, asyncio.timeout(self._settings.answer_ms_max / 1_000):
                await self._store.create(key, text)
        except BaseException:
            self.leave([key])
            raise

    def leave(self, keys: list[str]) -> None:
        """Have the sweeper look at them: it also looks for those of lower epochs by itself."""
        self._stray += keys
        del self._stray[:-STRAY_MAX]

    async def _get(self, key: str) -> bytes:
        try:
            async with self._slots, asyncio.timeout(self._settings.answer_ms_max / 1_000):
                stored = await self._store.get(key)
        except StoreNotFoundError:
            raise
        except (StorageBackendError, TimeoutError) as error:
            raise _unreached("the store did not give out a payload; try again later") from error
        assert stored is not None, "only a version that is asked about can stand unchanged"
        return stored.data

    async def _delete(self, key: str) -> None:
        for tries in range(self._settings.tries_max):
            try:
                async with self._deleting, asyncio.timeout(self._settings.answer_ms_max / 1_000):
                    await self._store.delete(key)
            except (OsqueueError, TimeoutError) as error:
                logger.info("a payload object was not deleted: %s", error)
                await self._pause(tries)
            except Exception:
                logger.exception("deleting a payload object failed in an unexpected way")
                break
            else:
                return
        self.leave([key])

    async def _pause(self, tries: int) -> None:
        spread = 0.5 + self._entropy.jitter() / 2
        await asyncio.sleep((self._settings.backoff_ms << tries) * spread / 1_000)

    async def _sum(self, type_: str, text: bytes) -> int:
        return await self._off_loop(len(text), lambda: checksum(type_, text))

    async def _off_loop(self, size: int, work: Callable[[], T]) -> T:
        """Do work on a thread when it is long: one at a time, so the loop has a rival at most."""
        if size <= self._settings.checked_at_once_max:
            return work()
        async with self._thread:
            return await asyncio.to_thread(work)


def _is_ours(key: str) -> bool:
    """Whether a key, which somebody may have edited by hand, can be of a payload object."""
    return key.startswith(PAYLOADS) and is_key(key)


def _unreached(message: str) -> StoreUnavailableError:
    error = StoreUnavailableError(message)
    error.applied = "no"
    return error
