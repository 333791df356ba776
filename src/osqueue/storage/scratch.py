"""One pass over what a queue needs of its store, tried on a scratch object.

A check ends in a definite answer, in a `FlawError`, or in the store's own error. What is not
definite never counts against a store: after a write of unknown fate the pass is given up, and the
next one takes keys that no late write can reach. Neither does a conflict by itself, since
something on the way may have sent a request twice: what stands in the object afterwards decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import MappingProxyType

from osqueue.clock import Clock
from osqueue.errors import (
    CASConflictError,
    StoreBusyError,
    StoreDeniedError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from osqueue.storage.asking import PatientStore
from osqueue.storage.protocol import Stored, Version

__all__ = ["CHECKS", "CREATES", "SCRATCH_PREFIX", "FlawError", "Pass", "made_at_ms", "scratch_key"]

SCRATCH_PREFIX = "probe/"
"""Where scratch objects are; nothing else of a queue begins so."""

CHECKS = MappingProxyType(
    {
        "creates an object": "creating an object",
        "refuses to create it twice": "creating it again",
        "replaces it at its version": "replacing it",
        "refuses a stale version": "replacing it at a stale version",
        "tells whether it has changed": "reading it",
        "refuses to replace what is not there": "replacing what is not there",
        "lists it": "listing",
        "deletes it": "deleting it",
    }
)
"""What a store must do, in the order of the checks, and what it is doing meanwhile."""

CREATES = 2
"""The first checks do without versions, so no dialect matters to them."""

_IGNORED = "its preconditions are ignored, so jobs would be lost"


class FlawError(Exception):
    """The store did what no queue can live with; the text goes on after "it"."""


class Pass:
    """The checks, in order, on fresh keys: ``key``, and one beside it that stays empty."""

    def __init__(self, ask: PatientStore, key: str, clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._key = key
        self._nothing = f"{key}-nothing"
        self._stale = self._version = Version("")
        self._left: set[str] = set()
        self.done: list[str] = []
        self.listed: list[str] = []
        """All scratch keys, those of others as well."""
        self.clock_offset_ms: int | None = None

    async def run(self, note: Callable[[str], None]) -> None:
        """Do all checks; ``note`` is told each before it begins."""
        checks = (
            self._creates,
            self._creates_once,
            self._replaces,
            self._refuses_stale,
            self._tells_changes,
            self._refuses_nothing,
            self._lists,
            self._deletes,
        )
        for name, check in zip(CHECKS, checks, strict=True):
            note(name)
            await check()
            self.done.append(name)

    async def sample(self, count: int) -> None:
        """Write and read a few times more, for their times."""
        self._left.add(self._key)
        version = await self._ask.create(self._key, self._data("sample"))
        for number in range(count):
            version = await self._ask.put(self._key, self._data(f"sample {number}"), version)
            await self._ask.get(self._key)

    async def clean_up(self) -> None:
        """Remove what may be left of a pass that did not come to its end."""
        while self._left:
            await self._ask.delete(self._left.pop())

    async def _creates(self) -> None:
        began = self._clock.wall_ms()
        answered = await self._created()
        middle = (began + self._clock.wall_ms()) // 2
        stored = await self._ask.find(self._key)
        if stored is None or stored.data != self._data("first"):
            what = "refuses to create a new object" if answered is None else "lost a new object"
            raise FlawError(what)
        self._version = _agreed(answered, stored)
        modified = await self._ask.last_modified_ms(self._key)
        if modified is not None:
            self.clock_offset_ms = _centred(modified) - middle

    async def _created(self) -> Version | None:
        self._left.add(self._key)
        try:
            return await self._ask.create(self._key, self._data("first"))
        except CASConflictError:
            return None
        except StoreNotFoundError as error:
            self._left.discard(self._key)
            message = f"there is no such bucket, container or directory ({error.message})"
            raise StoreNotFoundError(message) from error
        except (StoreBusyError, StoreUnavailableError, StoreDeniedError):
            self._left.discard(self._key)
            raise

    async def _creates_once(self) -> None:
        with suppress(CASConflictError):
            await self._ask.create(self._key, self._data("second"))
            raise FlawError(f"let a second create overwrite an object: {_IGNORED}")
        await self._expect("first")

    async def _replaces(self) -> None:
        answered = None
        with suppress(CASConflictError):
            answered = await self._ask.put(self._key, self._data("third"), self._version)
        stored = await self._stored()
        if stored.data != self._data("third"):
            raise FlawError("refuses to replace an object at the version that it has")
        if stored.version == self._version:
            raise FlawError("gives a changed object the version that it had before")
        self._stale, self._version = self._version, _agreed(answered, stored)

    async def _refuses_stale(self) -> None:
        with suppress(CASConflictError):
            await self._ask.put(self._key, self._data("fourth"), self._stale)
            raise FlawError(f"let a write at a stale version overwrite an object: {_IGNORED}")
        await self._expect("third")

    async def _tells_changes(self) -> None:
        if await self._ask.get(self._key, unless=self._version) is not None:
            raise FlawError("hands out an object that has not changed as if it had")
        changed = await self._ask.get(self._key, unless=self._stale)
        if changed is None or changed.data != self._data("third"):
            raise FlawError("says of an object that has changed that it has not")

    async def _refuses_nothing(self) -> None:
        self._left.add(self._nothing)
        with suppress(CASConflictError, StoreNotFoundError):
            await self._ask.put(self._nothing, self._data("fifth"), self._version)
            raise FlawError(f"let an object be replaced that is not there: {_IGNORED}")
        with _hint():
            if await self._ask.find(self._nothing) is not None:
                raise FlawError("reported a conflict and created the object all the same")
        self._left.discard(self._nothing)

    async def _lists(self) -> None:
        self.listed = await self._ask.keys(SCRATCH_PREFIX)
        if self._key not in self.listed:
            raise FlawError("leaves an object out of its listing")

    async def _deletes(self) -> None:
        await self._ask.delete(self._key)
        with _hint():
            if await self._ask.find(self._key) is not None:
                raise FlawError("still has an object that was deleted")
        self._left.discard(self._key)

    async def _expect(self, name: str) -> None:
        """After a conflict: the object is still what it was."""
        stored = await self._stored()
        if stored != Stored(self._data(name), self._version):
            raise FlawError("reported a conflict and overwrote the object all the same")

    async def _stored(self) -> Stored:
        stored = await self._ask.find(self._key)
        if stored is None:
            raise FlawError("lost an object")
        return stored

    def _data(self, name: str) -> bytes:
        return f"{name} of {self._key}, a scratch object of osqueue; it may be deleted".encode()


def scratch_key(wall_ms: int, token: str) -> str:
    """A key that nobody else has, and that tells when it was made."""
    return f"{SCRATCH_PREFIX}{wall_ms}-{token}"


def made_at_ms(key: str) -> int | None:
    """When a scratch key was made, by its maker's clock; ``None`` for any other key."""
    stamp, _, token = key.removeprefix(SCRATCH_PREFIX).partition("-")
    return int(stamp) if token and stamp.isascii() and stamp.isdecimal() else None


def _agreed(answered: Version | None, stored: Stored) -> Version:
    if answered not in {None, stored.version}:
        raise FlawError("gives an object another version when it is read than when it was written")
    return stored.version


def _centred(modified_ms: int) -> int:
    """Most stores tell whole seconds; the middle of one is wrong by half of it at most."""
    return modified_ms + 500 if modified_ms % 1_000 == 0 else modified_ms


@contextmanager
def _hint() -> Iterator[None]:
    """Some stores refuse to say that something is not there."""
    try:
        yield
    except StoreDeniedError as error:
        hint = "on S3, to be told that an object is not there takes the permission s3:ListBucket"
        raise StoreDeniedError(f"{error.message} ({hint})") from error
