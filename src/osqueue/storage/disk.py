"""What the local store asks of a POSIX file system. No policy: `local` puts these in order.

Every name below the store's directory is opened relative to the directory that holds it and never
through a symbolic link, so a link that is planted there, or swapped in between two steps, leads
nowhere.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec

from osqueue.clock import SystemClock
from osqueue.errors import StoreBusyError, StoreDeniedError
from osqueue.storage.keys import is_key
from osqueue.storage.protocol import Version

__all__ = [
    "SLICE_BYTES",
    "Spot",
    "Traits",
    "descriptor",
    "digest",
    "digest_file",
    "digest_object",
    "keys_below",
    "locked",
    "open_object",
    "opened",
    "read_object",
    "sync",
    "sync_ancestors",
    "traits_of",
]

SLICE_BYTES = 1024 * 1024
"""Bytes read or written by one call: one of 64 MiB was seen to hold up the process's other threads
for 50 ms on a busy machine, where 64 of 1 MiB held them up for 8."""

LOCK_PAUSE_FIRST_S = 0.000_5
LOCK_PAUSE_MAX_S = 0.01
"""Pauses between two tries for a lock that others hold: short beside a disk's sync."""

LOST_AND_FOUND = "lost+found"
"""What ext4 puts, for root alone, into the top directory of each volume: a store may live there."""

_CLOCK = SystemClock()
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_OBJECT = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # opening a FIFO must not wait for a writer


class Spot(msgspec.Struct, frozen=True, gc=False):
    """Where one key lives: its directories, held open from the store's down, and its name."""

    directories: tuple[int, ...]
    name: str

    @property
    def root(self) -> int:
        """The store's own directory."""
        return self.directories[0]

    @property
    def parent(self) -> int:
        """The directory that holds the name."""
        return self.directories[-1]

    def sync_all(self) -> None:
        """Make the name, and the directories above it up to the store's, survive a power loss."""
        for directory in reversed(self.directories):
            sync(directory)


class Traits(msgspec.Struct, frozen=True, gc=False):
    """What tells a file from others, and whether it was touched."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


@contextmanager
def opened(root: str, key: str, *, make: bool = False) -> Iterator[Spot]:
    """The spot of ``key`` below ``root``; ``make`` adds the directories that are missing."""
    *parents, name = key.split("/")
    with ExitStack() as held:
        directories = [held.enter_context(descriptor(_open_root(root, make=make)))]
        for parent in parents:
            child = _enter(directories[-1], parent, make=make)
            directories.append(held.enter_context(descriptor(child)))
        yield Spot(tuple(directories), name)


@contextmanager
def descriptor(file: int) -> Iterator[int]:
    """An open file that is closed afterwards."""
    try:
        yield file
    finally:
        os.close(file)


@contextmanager
def locked(directory: int, *, wait_ms: int) -> Iterator[None]:
    """Hold the lock of an open directory; `StoreBusyError` when others hold it for too long."""
    deadline_ms = _CLOCK.mono_ms() + wait_ms
    pause_s = LOCK_PAUSE_FIRST_S
    while not _try_lock(directory):
        if _CLOCK.mono_ms() >= deadline_ms:
            raise StoreBusyError(
                f"other processes held the store's lock for {wait_ms} ms; nothing was written"
            )
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LOCK_PAUSE_MAX_S)
    try:
        yield
    finally:
        # Closing alone would not do: a child forked meanwhile shares the lock until it ends.
        fcntl.flock(directory, fcntl.LOCK_UN)


def digest(data: bytes) -> Version:
    """The version of an object with this content."""
    return Version(hashlib.sha256(data).hexdigest())


def digest_object(spot: Spot) -> Version:
    """The version of the object at ``spot``."""
    with descriptor(open_object(spot)) as file:
        return digest_file(file)


def digest_file(file: int) -> Version:
    """The version of the object that is open as ``file``, read piece by piece from its start."""
    with open(file, "rb", 0, closefd=False) as stream:
        return Version(hashlib.file_digest(stream, "sha256").hexdigest())


def traits_of(file: int) -> Traits:
    """The traits of an open file."""
    found = os.fstat(file)
    return Traits(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def read_object(spot: Spot) -> bytes:
    """The whole content of the object at ``spot``."""
    with descriptor(open_object(spot)) as file, open(file, "rb", 0, closefd=False) as stream:
        return b"".join(iter(partial(stream.read, SLICE_BYTES), b""))


def keys_below(directory: int, prefix: str, *, path: str = "") -> Iterator[str]:
    """Every key that begins with ``prefix``, in no order, in an open directory called ``path``."""
    with os.scandir(directory) as entries:
        listed = [entry for entry in entries if is_key(path + entry.name)]
    for entry in listed:
        key = path + entry.name
        if entry.is_file(follow_symlinks=False) and key.startswith(prefix):
            yield key
        elif entry.is_dir(follow_symlinks=False) and _may_hold(f"{key}/", prefix):
            yield from _keys_inside(directory, entry.name, prefix, path=path)


def sync(file: int) -> None:
    """Return when everything written to an open file or directory survives a power loss."""
    if sys.platform == "darwin":
        fcntl.fcntl(file, fcntl.F_FULLFSYNC)  # its fsync leaves the data in the drive's cache
    else:
        os.fsync(file)


def sync_ancestors(root: str) -> None:
    """Make the store's own directory durable: whoever made it may have died before it was.

    A directory that cannot be opened or synced is not one in which we could have made another.
    """
    for ancestor in Path(root).parents:
        with suppress(OSError), descriptor(os.open(ancestor, _DIRECTORY)) as directory:
            sync(directory)


def _open_root(root: str, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            Path(root).mkdir(parents=True, exist_ok=True)
    return os.open(root, _DIRECTORY)


def _enter(parent: int, name: str, *, make: bool = False) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)


def open_object(spot: Spot) -> int:
    """The object at ``spot``, open for reading. Raises `FileNotFoundError`."""
    file = os.open(spot.name, _OBJECT, dir_fd=spot.parent)
    mode = os.fstat(file).st_mode
    if stat.S_ISREG(mode):
        return file
    os.close(file)
    if stat.S_ISDIR(mode):
        raise FileNotFoundError(errno.ENOENT, "it is a directory", spot.name)
    raise StoreDeniedError(f"{spot.name!r} is not a regular file: move it out of the way")


def _keys_inside(parent: int, name: str, prefix: str, *, path: str) -> Iterator[str]:
    try:
        directory = _enter(parent, name)
    except FileNotFoundError:
        return  # removed meanwhile
    except PermissionError:
        if name != LOST_AND_FOUND:
            raise
        return
    with descriptor(directory):
        yield from keys_below(directory, prefix, path=f"{path}{name}/")


def _try_lock(directory: int) -> bool:
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _may_hold(directory: str, prefix: str) -> bool:
    return directory.startswith(prefix) or prefix.startswith(directory)
