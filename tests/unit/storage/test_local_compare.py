"""What a compare hashes: any file but the one that this store left there and nobody touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from osqueue.errors import CASConflictError
from osqueue.storage import LocalBackend, Version, disk, local
from osqueue.storage.local import BESIDE_BYTES_MIN

KEY = "queue.json"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The files that were hashed to be compared."""
    files: list[int] = []
    real = disk.digest_file

    def digest_file(file: int) -> Version:
        files.append(file)
        return real(file)

    monkeypatch.setattr(local, "digest_file", digest_file)
    return files


async def test_put_onto_our_own_file_then_it_is_not_hashed(
    store: LocalBackend, hashed: list[int]
) -> None:
    version = await store.create(KEY, b"0")
    for number in range(1, 6):
        version = await store.put(KEY, b"%d" % number, if_version=version)
    assert len(hashed) == 1  # what a create left may be linked elsewhere
    assert version == await store.head(KEY)


async def test_put_at_another_version_than_our_own_file_then_conflict(store: LocalBackend) -> None:
    first = await store.create(KEY, b"1")
    await store.put(KEY, b"2", if_version=first)
    with pytest.raises(CASConflictError):
        await store.put(KEY, b"3", if_version=first)


@pytest.mark.parametrize("size", [7, BESIDE_BYTES_MIN])
async def test_put_right_after_edits_in_place_of_the_same_length_then_conflict_each_time(
    store: LocalBackend, root: Path, size: int
) -> None:
    version = await store.create(KEY, bytes(size))
    for _ in range(50):
        version = await store.put(KEY, bytes(size), if_version=version)
        with (root / KEY).open("r+b") as file:
            file.write(b"edited")
        with pytest.raises(CASConflictError):
            await store.put(KEY, b"ours", if_version=version)
        version = await store.head(KEY)


async def test_put_after_another_store_wrote_the_same_bytes_then_hashed_and_accepted(
    store: LocalBackend, other: LocalBackend, hashed: list[int]
) -> None:
    version = await store.create(KEY, b"1")
    two = await store.put(KEY, b"2", if_version=version)
    one = await other.put(KEY, b"1", if_version=two)
    two = await other.put(KEY, b"2", if_version=one)
    hashed.clear()
    await store.put(KEY, b"3", if_version=two)
    assert len(hashed) == 1


@pytest.mark.parametrize("fails", [False, True])
async def test_put_on_a_disk_that_keeps_no_exact_times_then_every_file_is_hashed(
    store: LocalBackend, hashed: list[int], monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    real = os.utime

    def utime(file: int, *, ns: tuple[int, int]) -> None:
        if fails:
            raise PermissionError("no times here")
        second = ns[0] // 10**9 * 10**9
        real(file, ns=(second, second))

    monkeypatch.setattr(os, "utime", utime)
    version = await store.create(KEY, b"0")
    for number in range(1, 4):
        version = await store.put(KEY, b"%d" % number, if_version=version)
    assert len(hashed) == 3
