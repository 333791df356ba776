"""What the checks of a store are made of: expectations, and a writer that races.

Plain functions that raise `AssertionError`, so that they work under any test runner.
"""

from __future__ import annotations

from collections.abc import Awaitable

from osqueue.errors import CASConflictError, OsqueueError, StoreBusyError, StoreUnknownError
from osqueue.storage.protocol import Store, Stored, Version

__all__ = ["append_lines", "expect_error", "expect_head", "expect_stored", "keys_of"]

WRITES_EACH = 5

TRIES_MAX = 2_000
"""A racer that loses this often is not losing a race: the store makes no progress."""


async def append_lines(store: Store, key: str, *, writer: int) -> list[bytes]:
    lines = [b"%d-%d" % (writer, number) for number in range(WRITES_EACH)]
    for line in lines:
        await _append_line(store, key, line)
    return lines


async def _append_line(store: Store, key: str, line: bytes) -> None:
    """Add one line to the object exactly once, however often a try ends in doubt."""
    for _ in range(TRIES_MAX):
        stored = await store.get(key)
        assert stored is not None
        if line in stored.data.splitlines():
            return
        try:
            await store.put(key, stored.data + line + b"\n", if_version=stored.version)
        except (CASConflictError, StoreBusyError, StoreUnknownError):
            continue
        return
    raise AssertionError(f"{line!r} was not written in {TRIES_MAX} tries")


async def keys_of(store: Store, prefix: str = "") -> list[str]:
    return [key async for key in store.list(prefix)]


async def expect_stored(store: Store, key: str, expected: Stored) -> None:
    stored = await store.get(key)
    assert stored is not None
    assert stored.data == expected.data, "the object's bytes are others"
    assert stored.version == expected.version, "the object's version is another"


async def expect_head(store: Store, key: str, expected: Version) -> None:
    assert await store.head(key) == expected, "the head's version is another"


async def expect_error(
    expected: type[OsqueueError] | tuple[type[OsqueueError], ...], call: Awaitable[object]
) -> None:
    try:
        answer = await call
    except expected:
        return
    raise AssertionError(f"answered {answer!r} where {expected} was due")
