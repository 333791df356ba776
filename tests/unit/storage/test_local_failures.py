"""A disk that fails at each step: what the caller is told, and what is left on the disk."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osqueue.errors import (
    CASConflictError,
    OsqueueError,
    StoreDeniedError,
    StoreUnavailableError,
    StoreUnknownError,
)
from osqueue.storage import LocalBackend, Stored, Version

KEY = "queue.json"


def failing(number: int) -> Callable[..., int]:
    def fail(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


def fail_syncs(monkeypatch: pytest.MonkeyPatch, *, of_directories: bool) -> None:
    real = os.fsync

    def fsync(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode) == of_directories:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.fixture
async def version(store: LocalBackend) -> Version:
    return await store.create(KEY, b"one")


async def assert_untouched(store: LocalBackend, root: Path, version: Version) -> None:
    assert await store.get(KEY) == Stored(b"one", version)
    assert [path.name for path in root.iterdir()] == [KEY]


@pytest.mark.parametrize(("number", "what"), [(errno.ENOSPC, "disk"), (errno.EDQUOT, "quota")])
async def test_write_when_the_disk_fills_halfway_then_unavailable_and_untouched(
    number: int, what: str, store: LocalBackend, root: Path, version: Version
) -> None:
    real = os.write

    def fill(file: int, data: memoryview) -> int:
        if len(data) <= 500:
            raise OSError(number, os.strerror(number))
        return real(file, data[:500])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", fill)
        with pytest.raises(StoreUnavailableError, match=f"{what} is full.*free some space") as no:
            await store.put(KEY, bytes(1_000), if_version=version)
        with pytest.raises(StoreUnavailableError):
            await store.create("new", bytes(1_000))
    assert isinstance(no.value.__cause__, OSError)
    await assert_untouched(store, root, version)
    await store.put(KEY, b"two", if_version=version)


async def test_write_when_the_draft_cannot_be_synced_then_unavailable_and_untouched(
    store: LocalBackend, root: Path, version: Version
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fail_syncs(patch, of_directories=False)
        with pytest.raises(StoreUnavailableError):
            await store.put(KEY, b"two", if_version=version)
        with pytest.raises(StoreUnavailableError):
            await store.create("new", b"x")
    await assert_untouched(store, root, version)


async def write_by(step: str, store: LocalBackend, version: Version) -> None:
    if step == "replace":
        await store.put(KEY, b"two", if_version=version)
    else:
        await store.create("new", b"x")


@pytest.mark.parametrize("step", ["replace", "link"])
@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EACCES, StoreDeniedError),
        (errno.ENOSPC, StoreUnavailableError),
        (errno.EIO, StoreUnknownError),
    ],
)
async def test_write_when_the_name_cannot_be_changed_then_unknown_only_if_it_may_have_been(
    step: str, number: int, expected: type[OsqueueError], store: LocalBackend, version: Version
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, step, failing(number))
        with pytest.raises(expected) as caught:
            await write_by(step, store, version)
    assert type(caught.value) is expected
    assert isinstance(caught.value.__cause__, OSError)
    assert (await store.get(KEY)) == Stored(b"one", version)


async def test_put_when_the_directory_cannot_be_synced_then_unknown_until_a_read_could(
    store: LocalBackend, version: Version
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fail_syncs(patch, of_directories=True)
        with pytest.raises(StoreUnknownError, match="power loss"):
            await store.put(KEY, b"two", if_version=version)
        with pytest.raises(CASConflictError):
            await store.put(KEY, b"two", if_version=version)
        with pytest.raises(StoreUnavailableError):
            await store.get(KEY)
        with pytest.raises(StoreUnavailableError):
            await store.head(KEY)
    stored = await store.get(KEY)
    assert stored is not None
    assert stored.data == b"two"


async def test_create_when_the_directory_cannot_be_synced_then_unknown_until_it_can(
    store: LocalBackend,
) -> None:
    await store.create("used", b"x")
    with pytest.MonkeyPatch.context() as patch:
        fail_syncs(patch, of_directories=True)
        with pytest.raises(StoreUnknownError):
            await store.create(KEY, b"one")
        with pytest.raises(StoreUnavailableError):
            await store.create(KEY, b"one")
    with pytest.raises(CASConflictError):
        await store.create(KEY, b"one")


async def test_delete_when_the_directory_cannot_be_synced_then_unknown(
    store: LocalBackend, version: Version
) -> None:
    assert version
    with pytest.MonkeyPatch.context() as patch:
        fail_syncs(patch, of_directories=True)
        with pytest.raises(StoreUnknownError):
            await store.delete(KEY)
    await store.delete(KEY)


async def test_write_when_the_draft_cannot_be_removed_afterwards_then_still_acknowledged(
    store: LocalBackend, root: Path, version: Version
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "unlink", failing(errno.EIO))
        await store.create("new", b"x")
        await store.put(KEY, b"two", if_version=version)
    assert (root / KEY).read_bytes() == b"two"


async def test_lock_when_the_file_system_has_none_then_denied_and_says_so(
    store: LocalBackend, version: Version
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fcntl.flock", failing(errno.ENOLCK))
        with pytest.raises(StoreDeniedError, match="local POSIX file system"):
            await store.put(KEY, b"two", if_version=version)


PROGRAM = """
import asyncio, os, resource, sys
from osqueue.errors import OsqueueError
from osqueue.storage import LocalBackend

async def main():
    store = LocalBackend(sys.argv[1])
    stored = await store.get("queue.json")
    {restrict}
    for call in (store.put("queue.json", bytes(1_000_000), if_version=stored.version),
                 store.create("new/object", bytes(1_000_000))):
        try:
            await call
        except OsqueueError as error:
            print(type(error).__name__, "|", error.message)
    assert await store.get("queue.json") == stored

asyncio.run(main())
"""

UNPRIVILEGED = "os.geteuid() or os.seteuid(65534)"
SMALL_FILES = "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"


def run_restricted(directory: Path, restrict: str) -> list[str]:
    program = PROGRAM.format(restrict=restrict)
    done = subprocess.run(
        [sys.executable, "-c", program, str(directory)],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that every user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


def test_write_into_a_directory_of_another_user_then_denied_and_untouched(reachable: Path) -> None:
    (reachable / KEY).write_bytes(b"one")
    reachable.chmod(0o555)
    answers = run_restricted(reachable, UNPRIVILEGED)
    reachable.chmod(0o755)
    assert len(answers) == 2
    for answer in answers:
        assert answer.startswith("StoreDeniedError | ")
        assert "allow the user that runs this process" in answer
    assert [path.name for path in reachable.iterdir()] == [KEY]


def test_write_that_the_kernel_cuts_off_then_denied_and_untouched(tmp_path: Path) -> None:
    (tmp_path / KEY).write_bytes(b"one")
    put, create = run_restricted(tmp_path, SMALL_FILES)
    assert put.startswith("StoreDeniedError | ")
    assert "ulimit -f" in create
    assert sorted(path.name for path in tmp_path.glob("**/*")) == ["new", KEY]
