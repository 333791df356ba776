"""Writes that several processes race for, told to end exactly once each.

A counter object holds how often it was counted up, and the token of every time: so after a write
of unknown fate the writer finds out what became of it. Each takes one token to one of its stores,
and goes to the next one when a store fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from osqueue.clock import SystemEntropy
from osqueue.errors import (
    CASConflictError,
    StoreBusyError,
    StoreUnavailableError,
    StoreUnknownError,
)
from osqueue.storage import Store, Stored, Version

__all__ = ["Counter", "count", "create", "created", "make_counter", "read_counter"]

COUNTER = "counter.json"
CREATED = "created/"

TURN_S_MAX = 120
"""How long one token may take: a cluster that was killed as a whole is back long before."""

PAUSE_S_MAX = 0.1


class Counter(msgspec.Struct):
    """What the counter object holds."""

    count: int = 0
    tokens: list[str] = []


async def make_counter(store: Store) -> None:
    await store.create(COUNTER, msgspec.json.encode(Counter()))


async def read_counter(store: Store) -> Counter:
    return (await _counter(store))[0]


async def created(store: Store) -> list[str]:
    """The tokens of the objects that stand, each read to see that it is whole."""
    keys = [key async for key in store.list(CREATED)]
    tokens = [(await _read(store, key)).data.decode() for key in keys]
    assert [CREATED + token for token in tokens] == keys
    return tokens


async def count(stores: Sequence[Store], token: str) -> None:
    """Add one to the counter."""
    await _until_certain(stores, lambda store: _try_to_count(store, token))


async def create(stores: Sequence[Store], token: str) -> None:
    """Make an object of this token's own."""
    await _until_certain(stores, lambda store: _try_to_create(store, token))


async def _until_certain(
    stores: Sequence[Store], attempt: Callable[[Store], Awaitable[None]]
) -> None:
    """Try on one store, and on the next one after a failure, until a try gets through."""
    entropy = SystemEntropy()
    turn = 0
    async with asyncio.timeout(TURN_S_MAX):
        while True:
            try:
                return await attempt(stores[turn % len(stores)])
            except CASConflictError:
                pass
            except (StoreBusyError, StoreUnknownError, StoreUnavailableError):
                turn += 1
            await asyncio.sleep(PAUSE_S_MAX * entropy.jitter())


async def _try_to_count(store: Store, token: str) -> None:
    counter, version = await _counter(store)
    if token in counter.tokens:
        return
    more = Counter(counter.count + 1, [*counter.tokens, token])
    await store.put(COUNTER, msgspec.json.encode(more), if_version=version)


async def _try_to_create(store: Store, token: str) -> None:
    """A key that is taken is taken by an earlier try: no other writer has this token."""
    try:
        await store.create(CREATED + token, token.encode())
    except CASConflictError:
        assert (await _read(store, CREATED + token)).data == token.encode()


async def _counter(store: Store) -> tuple[Counter, Version]:
    stored = await _read(store, COUNTER)
    return msgspec.json.decode(stored.data, type=Counter), stored.version


async def _read(store: Store, key: str) -> Stored:
    stored = await store.get(key)
    assert stored is not None
    return stored
