"""A store in a directory of a local disk: atomic and durable across power loss and SIGKILL.

An object is a file of the same path. Its version is the hash of its content, so a file that was
edited by hand, in place or by an editor's rename, is a new version.

**How a write goes, and why a crash between any two steps does no harm**

1. *Draft*: the bytes go to a hidden file beside the objects, which is then synced. Dying here
   leaves the object as it was, and a draft that a later process sweeps away.
2. *Lock* the store's directory; *compare* the object's hash with the version that was asked for.
   Dying here gives the lock back and leaves the same.
3. *Rename* the draft over the object (a new object: *link* the draft under its name, which fails
   if the name is taken, so it needs no lock). For every process that looks, the name leads to the
   old bytes or to the new ones, both whole and, since the draft was synced first, both on disk.
   After SIGKILL the new ones stand; after a power loss it is one or the other. Nobody was told
   yet, so both are right.
4. *Sync the directories* from the object's to the store's own. Now the name survives, too.
5. *Answer*, and let go of what was replaced. What fails before 3 was not applied; a rename that
   the disk breaks off, and what fails in 4, is `StoreUnknownError`.

A read syncs the directories as well before it answers, and so does a `create` that finds the name
taken: what another process renamed and died before syncing is durable before anyone builds on it.
A `put` needs to sync the object's directory alone: its caller knows the version from such a read.

**The lock** is an `flock` on the store's directory itself. One for all keys is enough: it is held
for a compare and a rename, while all writing and syncing go on beside it, so locks per key would
buy nothing. There is no lock file that somebody could delete under its holder, and none to clean
up. A file system that locks only files open for writing (NFS) is refused by the first `put`.

**What is hashed**: a file that this store put there itself and that nobody has touched since need
not be hashed to be compared. Each draft gets a time of modification that its writer draws by lot
before anyone else can reach the file; whoever writes to it later, in whatever tick of the clock,
gives it another one. Without a disk that keeps such times exactly, every compare hashes.

All of it runs on threads of the store (`osqueue.storage.threads`), so the event loop never waits
for a disk, and a commit not for a large payload. A call whose awaiting was cancelled is carried
out whole or not at all.

Limits: an editor does not take the lock, so what it saves between our compare and our rename is
overwritten; and one that writes in place shows half a file to those who look meanwhile.
Directories that have become empty stay.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import msgspec

from osqueue.errors import CASConflictError, StoreUnavailableError, StoreUnknownError
from osqueue.storage.disk import (
    Spot,
    Traits,
    digest,
    digest_file,
    digest_object,
    keys_below,
    locked,
    open_object,
    opened,
    read_object,
    sync,
    sync_ancestors,
    traits_of,
)
from osqueue.storage.drafts import drafted, sweep_drafts
from osqueue.storage.keys import check_key
from osqueue.storage.oserrors import store_error, was_refused
from osqueue.storage.protocol import Stored, Version
from osqueue.storage.threads import Lane, StoreThreads

__all__ = ["LOCK_WAIT_MS_MAX", "LocalBackend"]

LOCK_WAIT_MS_MAX = 5_000
"""Longest wait for the lock: comparing an object of the largest size on a slow disk takes under a
second, so whoever holds it for longer is stopped, and the caller should hear of it."""

BESIDE_BYTES_MIN = 128 * 1024
"""Hashing as many takes about as long as handing it to another thread."""

T = TypeVar("T")


class LocalBackend:
    """The objects of one directory, which is made by the first `create`.

    Several stores, threads and processes may use the same directory.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, lock_wait_ms: int = LOCK_WAIT_MS_MAX
    ) -> None:
        self._threads = StoreThreads()
        self._files = _Files(str(Path(path).absolute()), lock_wait_ms, self._threads)

    @property
    def url(self) -> str:
        return f"file://{quote(os.fsencode(self._files.root))}"

    async def get(self, key: str, *, unless: Version | None = None) -> Stored | None:
        lane = Lane.TRANSFER if unless is None else Lane.STATE
        return await self._run(
            lane, f"get {key!r}", partial(self._files.get, _checked(key), unless)
        )

    async def head(self, key: str) -> Version:
        return await self._run(
            Lane.STATE, f"look at {key!r}", partial(self._files.head, _checked(key))
        )

    async def create(self, key: str, data: bytes) -> Version:
        work = partial(self._files.create, _checked(key), data)
        return await self._run(Lane.TRANSFER, f"create {key!r}", work)

    async def put(self, key: str, data: bytes, *, if_version: Version) -> Version:
        work = partial(self._files.put, _checked(key), data, if_version)
        return await self._run(Lane.STATE, f"put {key!r}", work)

    async def delete(self, key: str) -> None:
        work = partial(self._files.delete, _checked(key))
        await self._run(Lane.TRANSFER, f"delete {key!r}", work)

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        work = partial(self._files.keys, prefix)
        for key in await self._run(Lane.TRANSFER, "list", work):
            yield key

    async def close(self) -> None:
        """Finish what was begun, then end the threads. A second close does nothing."""
        await self._threads.close()

    async def _run(self, lane: Lane, doing: str, work: Callable[[], T]) -> T:
        whole = f"{doing} in {self._files.root}"
        return await self._threads.run(lane, partial(_translated, whole, work))


class _Left(msgspec.Struct, frozen=True, gc=False):
    """The file that the last put left under a name, and its version."""

    traits: Traits
    version: Version


class _Files:
    """The store without its event loop: every method blocks, and is one operation."""

    def __init__(self, root: str, lock_wait_ms: int, threads: StoreThreads) -> None:
        self.root = root
        self._lock_wait_ms = lock_wait_ms
        self._threads = threads
        self._prepared = False
        self._left: _Left | None = None

    def get(self, key: str, unless: Version | None) -> Stored | None:
        with self._opened(key) as spot:
            data = read_object(spot)
            spot.sync_all()
        version = digest(data)
        return None if version == unless else Stored(data, version)

    def head(self, key: str) -> Version:
        with self._opened(key) as spot:
            version = digest_object(spot)
            spot.sync_all()
        return version

    def create(self, key: str, data: bytes) -> Version:
        with self._opened(key, make=True) as spot:
            with drafted(spot.root, data) as draft:
                _link(draft.name, spot)
            with _after_change():
                spot.sync_all()
        return digest(data)

    def put(self, key: str, data: bytes, if_version: Version) -> Version:
        with self._opened(key) as spot, ExitStack() as held:
            version = self._beside(len(data), partial(digest, data))
            with drafted(spot.root, data) as draft:
                with self._locked(spot):
                    old = open_object(spot)
                    # It stays open past the rename: whoever closes the last name or descriptor of
                    # a file frees its blocks, which takes about as long as a sync.
                    held.callback(self._threads.later, partial(os.close, old))
                    if self._version(old) != if_version:
                        raise CASConflictError(f"cannot put {key!r}: it is at another version")
                    _rename(draft.name, spot)
                left = traits_of(draft.file)
            with _after_change():
                sync(spot.parent)
        if left.modified_ns == draft.stamp_ns:
            self._left = _Left(left, version())
        return version()

    def _version(self, file: int) -> Version:
        """The version of an open object, which is known if it is the one that we left there."""
        left = self._left
        if left is not None and traits_of(file) == left.traits:
            return left.version
        return digest_file(file)

    def _beside(self, size: int, work: Callable[[], T]) -> Callable[[], T]:
        """The result of work on ``size`` bytes, which others do meanwhile if it takes a while."""
        if size >= BESIDE_BYTES_MIN:
            return self._threads.beside(work)
        result = work()
        return lambda: result

    def delete(self, key: str) -> None:
        with suppress(FileNotFoundError), self._opened(key) as spot:
            with self._locked(spot), suppress(FileNotFoundError), _changing():
                os.unlink(spot.name, dir_fd=spot.parent)
            with _after_change():
                sync(spot.parent)

    def keys(self, prefix: str) -> tuple[str, ...]:
        try:
            with opened(self.root, "") as spot:
                return tuple(sorted(keys_below(spot.root, prefix)))
        except FileNotFoundError:
            return ()

    @contextmanager
    def _opened(self, key: str, *, make: bool = False) -> Iterator[Spot]:
        try:
            with opened(self.root, key, make=make) as spot:
                self._prepare(spot)
                yield spot
        except FileNotFoundError as error:
            if not make:
                raise
            raise StoreUnavailableError(f"{self.root} is gone as soon as it is made") from error

    def _prepare(self, spot: Spot) -> None:
        """Once: whoever was here before may have died anywhere."""
        if self._prepared:
            return
        sync_ancestors(self.root)
        sweep_drafts(spot.root)
        self._prepared = True

    def _locked(self, spot: Spot) -> AbstractContextManager[None]:
        return locked(spot.root, wait_ms=self._lock_wait_ms)


def _link(draft: str, spot: Spot) -> None:
    """Give the draft the object's name, unless that is taken."""
    try:
        with _changing():
            os.link(draft, spot.name, src_dir_fd=spot.root, dst_dir_fd=spot.parent)
    except FileExistsError as error:
        if not _is_object(spot):
            raise
        spot.sync_all()
        raise CASConflictError(f"cannot create {spot.name!r}: it exists") from error


def _is_object(spot: Spot) -> bool:
    try:
        found = os.stat(spot.name, dir_fd=spot.parent, follow_symlinks=False)
    except FileNotFoundError:
        return True  # it was one a moment ago, and somebody deleted it
    return stat.S_ISREG(found.st_mode)


def _rename(draft: str, spot: Spot) -> None:
    with _changing():
        os.replace(draft, spot.name, src_dir_fd=spot.root, dst_dir_fd=spot.parent)


@contextmanager
def _changing() -> Iterator[None]:
    """A step that changes what a name stands for: a refusal passes, any other failure is unknown.

    A disk that fails in the middle of a rename does not tell which name survived.
    """
    try:
        yield
    except OSError as error:
        if was_refused(error):
            raise
        raise _unknown(error) from error


@contextmanager
def _after_change() -> Iterator[None]:
    """The step that makes a change durable: its failure leaves open what a power loss would do."""
    try:
        yield
    except OSError as error:
        raise _unknown(error) from error


def _unknown(error: OSError) -> StoreUnknownError:
    return StoreUnknownError(
        f"the change was made, but the disk failed to confirm it ({error.strerror or error}): "
        "it may or may not survive a power loss; check the disk, then read the object again"
    )


def _translated(doing: str, work: Callable[[], T]) -> T:
    """Do blocking work; every error of the operating system becomes one of the store's here."""
    try:
        return work()
    except OSError as error:
        raise store_error(error, doing) from error


def _checked(key: str) -> str:
    check_key(key)
    return key
