"""Objects on their way: hidden files in the store's directory that become objects by a rename.

A draft is locked by its writer from its first moment to its last. The operating system takes the
lock away with the process, however it ends, so a draft that can be locked belongs to nobody and
may go; one of a live writer never can. Names are random and never used twice: a sweeper that comes
late finds no file, never another writer's.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import msgspec

from osqueue.clock import SystemClock, SystemEntropy
from osqueue.errors import StoreBusyError
from osqueue.storage.disk import SLICE_BYTES, descriptor, sync

__all__ = ["DRAFT_PREFIX", "Draft", "drafted", "sweep_drafts"]

DRAFT_PREFIX = ".osqueue-draft-"
"""Begins with a dot, so no key can name a draft and no listing shows one."""

DRAFT_TRIES_MAX = 5
"""A sweep can take a draft between its making and its locking. A store sweeps once, so to lose
more often than this means that something else removes our files."""

SECOND_NS = 1_000_000_000

_CLOCK = SystemClock()
_ENTROPY = SystemEntropy()


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A draft, open as ``file`` until its writer leaves it."""

    name: str
    file: int
    stamp_ns: int
    """The time of modification that it was given. A later write gives it another one; so does a
    disk that keeps times less exactly."""


@contextmanager
def drafted(root: int, data: bytes) -> Iterator[Draft]:
    """A draft that holds ``data`` durably; it is gone afterwards, or was renamed."""
    name, file = _new_draft(root)
    try:
        _write_all(file, data)
        stamp_ns = _stamp(file)
        sync(file)
        yield Draft(name, file, stamp_ns)
    finally:
        _discard(root, name, file)


def sweep_drafts(root: int) -> None:
    """Remove what writers that are gone have left behind."""
    with os.scandir(root) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(DRAFT_PREFIX)]
    for name in names:
        with suppress(OSError):  # a live writer's, already gone, or not ours to remove
            _remove_abandoned(root, name)


def _new_draft(root: int) -> tuple[str, int]:
    for _ in range(DRAFT_TRIES_MAX):
        name = DRAFT_PREFIX + _ENTROPY.token()
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=root)
        with ExitStack() as undo:
            undo.callback(_discard, root, name, file)
            if _claim(file):
                undo.pop_all()
                return name, file
    raise StoreBusyError("drafts are removed as soon as they are made; nothing was written")


def _claim(file: int) -> bool:
    """Lock a new draft. A sweeper may hold it by now, or have removed it already."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(file).st_nlink > 0


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest[:SLICE_BYTES]) :]


def _stamp(file: int) -> int:
    """Date a draft within the last two seconds, to a nanosecond that is drawn by lot."""
    second = _CLOCK.wall_ms() // 1_000 - 1
    stamp_ns = second * SECOND_NS + int(_ENTROPY.jitter() * SECOND_NS)
    with suppress(OSError):  # a disk that takes no times: every compare will hash
        os.utime(file, ns=(stamp_ns, stamp_ns))
    return stamp_ns


def _discard(root: int, name: str, file: int) -> None:
    """Remove a draft, then give up its lock; never hide what became of the object itself."""
    with suppress(OSError):
        os.unlink(name, dir_fd=root)
    with suppress(OSError):
        os.close(file)


def _remove_abandoned(root: int, name: str) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with descriptor(os.open(name, flags, dir_fd=root)) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=root)
