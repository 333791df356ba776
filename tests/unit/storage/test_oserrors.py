from __future__ import annotations

import errno
import os

import pytest

from osqueue.errors import (
    StorageBackendError,
    StoreDeniedError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from osqueue.storage.oserrors import store_error, was_refused


@pytest.mark.parametrize(
    ("number", "kind", "advice"),
    [
        (errno.ENOENT, StoreNotFoundError, "no such object"),
        (errno.EACCES, StoreDeniedError, "allow the user"),
        (errno.EPERM, StoreDeniedError, "hard links"),
        (errno.EROFS, StoreDeniedError, "read-only"),
        (errno.ENOTDIR, StoreDeniedError, "not a directory"),
        (errno.ELOOP, StoreDeniedError, "symbolic link"),
        (errno.EXDEV, StoreDeniedError, "another file system"),
        (errno.EFBIG, StoreDeniedError, "ulimit -f"),
        (errno.ENOLCK, StoreDeniedError, "local POSIX file system"),
        (errno.ENOSPC, StoreUnavailableError, "the disk is full"),
        (errno.EDQUOT, StoreUnavailableError, "quota is full"),
        (errno.EMFILE, StoreUnavailableError, "ulimit -n"),
        (errno.EIO, StoreUnavailableError, "the disk failed"),
    ],
)
def test_store_error_of_each_number_then_one_class_and_what_to_do(
    number: int, kind: type[StorageBackendError], advice: str
) -> None:
    error = store_error(OSError(number, os.strerror(number)), "put 'queue.json' in /data")
    assert type(error) is kind
    assert advice in error.message
    assert error.message.startswith("cannot put 'queue.json' in /data: ")
    assert os.strerror(number) in error.message


def test_store_error_of_an_error_without_a_number_then_unavailable() -> None:
    assert type(store_error(OSError("odd"), "get")) is StoreUnavailableError


@pytest.mark.parametrize(("number", "refused"), [(errno.EACCES, True), (errno.EIO, False)])
def test_was_refused_then_false_for_failures_halfway(number: int, *, refused: bool) -> None:
    assert was_refused(OSError(number, "")) is refused
