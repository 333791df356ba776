"""What a queue asks of an object store: six operations and six exact errors.

A store is a flat map from keys to byte strings. Every stored object has a *version*, an opaque
string that changes with each write; `put` and `create` are compare-and-swap on it.

The errors are the contract's other half. An operation raises exactly one of

- `CASConflictError`: the precondition failed; nothing was applied by this call,
- `StoreBusyError`: asked to slow down; nothing was applied,
- `StoreUnknownError`: the write may or may not have been applied, or may be applied later,
- `StoreUnavailableError`: the store was not reached or failed before applying anything,
- `StoreNotFoundError`: there is no such object,
- `StoreDeniedError`: not permitted.

A store never retries a conditional write by itself: a retry turns a write that landed into a
false conflict.

What only some stores can tell or do is a protocol of its own, found by `layers`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import NewType, Protocol, runtime_checkable

import msgspec

__all__ = [
    "Dialects",
    "HasClock",
    "Paced",
    "Spaced",
    "Store",
    "Stored",
    "Version",
    "Wrapper",
    "layers",
]

Version = NewType("Version", str)
"""Names one state of one object. Compare for equality only."""


class Stored(msgspec.Struct, frozen=True, gc=False):
    """An object's bytes and the version that they are."""

    data: bytes
    version: Version


class Store(Protocol):
    """One bucket, container, directory or dictionary, seen through a key prefix."""

    @property
    def url(self) -> str:
        """Where it is, for people: never holds credentials."""
        ...

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        """Read an object; ``None`` if its version is still ``unless``.

        Raises `StoreNotFoundError` when there is none.
        """
        ...

    async def head(self, key: str) -> Version:
        """The object's version, without its bytes. Raises `StoreNotFoundError`."""
        ...

    async def create(self, key: str, data: bytes) -> Version:
        """Write a new object. Raises `CASConflictError` when the key is taken."""
        ...

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        """Replace an object that is still at ``if_version``.

        Raises `CASConflictError` when it is at another version, and either that or
        `StoreNotFoundError` when there is none (it never creates one).
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove an object. One that is not there is no error."""
        ...

    def list(self, prefix: str = "") -> AsyncIterator[str]:
        """The keys that begin with ``prefix``, in ascending order."""
        ...

    async def close(self) -> None:
        """Give back threads and connections. A second close does nothing."""
        ...


@runtime_checkable
class Dialects(Protocol):
    """A store that can speak to servers in more than one way, for the probe to choose from."""

    @property
    def dialects(self) -> tuple[str, ...]:
        """The names of the ways, the usual one first."""
        ...

    @property
    def dialect(self) -> str:
        """The way in use. Set it between calls; any other name is a `ValueError`."""
        ...

    @dialect.setter
    def dialect(self, name: str) -> None: ...


@runtime_checkable
class HasClock(Protocol):
    """A store that tells when, by its own clock, an object was written."""

    async def last_modified_ms(self, key: str) -> int | None:
        """Milliseconds since the Unix epoch, often in whole seconds; ``None`` when not told.

        Raises `StoreNotFoundError` when there is no such object.
        """
        ...


@runtime_checkable
class Spaced(Protocol):
    """A store that takes only so many writes of one object."""

    @property
    def least_write_spacing_ms(self) -> int:
        """Least time between the starts of two writes of the same object."""
        ...


@runtime_checkable
class Paced(Protocol):
    """A store that has its writes wait. Whoever cannot wait inside a write asks first."""

    def write_ready_in_ms(self, key: str) -> int:
        """For how long a write of ``key`` should be put off; 0: it should begin now.

        Asked before each write of a key; from then on its writes never wait inside the store.
        """
        ...


@runtime_checkable
class Wrapper(Protocol):
    """A store around another one."""

    @property
    def inner(self) -> Store: ...


def layers(store: Store) -> Iterator[Store]:
    """The store, then what it wraps, from the outside in."""
    yield store
    while isinstance(store, Wrapper):
        store = store.inner
        yield store
