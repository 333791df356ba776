"""What an error of the operating system means to a queue: one table, one class for each.

The message says what to do; the original stays chained to it. What is not in the table is
`StoreUnavailableError`: nothing was applied, and nobody knows more.
"""

from __future__ import annotations

import errno

from osqueue.errors import (
    StorageBackendError,
    StoreDeniedError,
    StoreNotFoundError,
    StoreUnavailableError,
)

__all__ = ["store_error", "was_refused"]

_PERMISSION = "allow the user that runs this process to read and write there"
_DISK_FULL = "the disk is full: free some space; the stored object is as it was"
_NO_DIRECTORY = (
    "a part of the path is not a directory (symbolic links inside the store's directory are not "
    "followed): move it out of the way"
)
_INCAPABLE = "the file system lacks locks, links or directory syncs: use a local POSIX file system"
_FILES = "too many open files: raise the limit (ulimit -n)"

_MEANINGS: dict[int, tuple[type[StorageBackendError], str]] = {
    errno.ENOENT: (StoreNotFoundError, "there is no such object"),
    errno.EACCES: (StoreDeniedError, _PERMISSION),
    errno.EPERM: (StoreDeniedError, f"{_PERMISSION}, on a file system that has hard links"),
    errno.EROFS: (StoreDeniedError, "the file system is read-only: mount it for writing"),
    errno.ENOTDIR: (StoreDeniedError, _NO_DIRECTORY),
    errno.EISDIR: (StoreDeniedError, "a directory is in the way: move it"),
    errno.EEXIST: (StoreDeniedError, "what has this name is not an object: move it out of the way"),
    errno.ELOOP: (StoreDeniedError, "it is a symbolic link, which the store never follows"),
    errno.ENXIO: (StoreDeniedError, "it is not a regular file: move it out of the way"),
    errno.ENAMETOOLONG: (StoreDeniedError, "the name is too long for this file system"),
    errno.EXDEV: (StoreDeniedError, "another file system is mounted inside the store: unmount it"),
    errno.EFBIG: (StoreDeniedError, "larger than a file may be: raise the limit (ulimit -f)"),
    errno.EINVAL: (StoreDeniedError, _INCAPABLE),
    errno.EBADF: (StoreDeniedError, _INCAPABLE),
    errno.ENOLCK: (StoreDeniedError, _INCAPABLE),
    errno.ENOSYS: (StoreDeniedError, _INCAPABLE),
    errno.EOPNOTSUPP: (StoreDeniedError, _INCAPABLE),
    errno.EMLINK: (StoreUnavailableError, "too many entries: remove some"),
    errno.ENOSPC: (StoreUnavailableError, _DISK_FULL),
    errno.EDQUOT: (StoreUnavailableError, _DISK_FULL.replace("disk", "disk quota")),
    errno.EMFILE: (StoreUnavailableError, _FILES),
    errno.ENFILE: (StoreUnavailableError, _FILES),
}

_UNKNOWN = (StoreUnavailableError, "the disk failed: see the system's log")


def store_error(error: OSError, doing: str) -> StorageBackendError:
    """The error that a store raises for ``error``, met when nothing had been applied yet."""
    kind, advice = _MEANINGS.get(error.errno or 0, _UNKNOWN)
    return kind(f"cannot {doing}: {advice} ({error.strerror or error})")


def was_refused(error: OSError) -> bool:
    """Whether a change of a directory that ended in ``error`` certainly did not happen."""
    return error.errno in _MEANINGS
