"""From the store's errors to what the committer understands: the one place of this translation."""

from __future__ import annotations

import asyncio
import logging

from osqueue.config import STORE_ANSWER_S_MAX
from osqueue.engine.requests import (
    Conflicted,
    Failed,
    Found,
    Gone,
    ReadResult,
    Unapplied,
    Unchanged,
    Unclear,
    Write,
    WriteResult,
    Written,
)
from osqueue.errors import (
    CASConflictError,
    StorageBackendError,
    StoreBusyError,
    StoreDeniedError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from osqueue.storage.protocol import Store, Version

__all__ = ["read_object", "save_object", "write_object"]

logger = logging.getLogger("osqueue.engine")

SAVE_ATTEMPTS_MAX = 12
"""Tries to keep a copy of our state beside an object that somebody else has overwritten: with their
pauses, about as long as a store that is restarted is away."""

SAVE_PAUSE_S = 0.25
SAVE_PAUSE_S_MAX = 5.0
"""How long between the first two, and the longest."""


async def write_object(store: Store, key: str, action: Write) -> WriteResult:
    """Create or replace the object. What is not known for certain is `Unclear`."""
    try:
        async with asyncio.timeout(STORE_ANSWER_S_MAX):
            if action.if_version is None:
                return Written(await store.create(key, action.data))
            return Written(await store.put(key, action.data, if_version=action.if_version))
    except Exception as error:  # noqa: BLE001 - an unknown failure is an unknown fate
        return _write_failure(error)


def _write_failure(error: Exception) -> WriteResult:
    match error:
        case CASConflictError():
            return Conflicted()
        case StoreNotFoundError():
            return Gone()
        case StoreBusyError():
            return Unapplied(error.message, busy=True)
        case StoreUnavailableError() | StoreDeniedError():
            return Unapplied(error.message)
        case _:
            return Unclear(_why(error))


async def read_object(store: Store, key: str, *, unless: Version | None = None) -> ReadResult:
    """Read the object, unless it is still at a version."""
    try:
        async with asyncio.timeout(STORE_ANSWER_S_MAX):
            stored = await store.get(key, unless=unless)
    except StoreNotFoundError:
        return Gone()
    except Exception as error:  # noqa: BLE001 - whatever it is, nothing was read
        return Failed(_why(error))
    return Unchanged() if stored is None else Found(stored)


def _why(error: Exception) -> str:
    match error:
        case StorageBackendError():
            return error.message
        case TimeoutError():
            return f"the store did not answer within {STORE_ANSWER_S_MAX} s"
        case _:
            logger.error("the store failed in an unexpected way", exc_info=error)
            return repr(error)


async def save_object(store: Store, key: str, data: bytes) -> str | None:
    """Keep bytes under a new key; the key, or ``None`` when the store would not."""
    for tries in range(SAVE_ATTEMPTS_MAX):
        if tries > 0:
            await asyncio.sleep(min(SAVE_PAUSE_S * 2 ** (tries - 1), SAVE_PAUSE_S_MAX))
        result = await write_object(store, key, Write(data, None))
        if isinstance(result, Written | Conflicted):
            return key
    return None
