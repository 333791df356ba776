"""What the local store adds to the contract: files that people and other programs can touch."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from pathlib import Path

import pytest

from osqueue.errors import (
    CASConflictError,
    StoreBusyError,
    StoreDeniedError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from osqueue.storage import LocalBackend, Stored

KEY = "queue.json"


async def keys_of(store: LocalBackend, prefix: str = "") -> list[str]:
    return [key async for key in store.list(prefix)]


async def test_get_after_an_edit_in_place_of_the_same_length_then_a_new_version(
    store: LocalBackend, root: Path
) -> None:
    version = await store.create(KEY, b'{"n":1}')
    with (root / KEY).open("r+b") as file:
        file.write(b'{"n":2}')
    stored = await store.get(KEY, unless=version)
    assert stored is not None
    assert stored.data == b'{"n":2}'
    with pytest.raises(CASConflictError):
        await store.put(KEY, b"ours", if_version=version)
    assert (root / KEY).read_bytes() == b'{"n":2}'


async def test_put_after_an_editor_replaced_the_file_then_conflict(
    store: LocalBackend, root: Path
) -> None:
    version = await store.create(KEY, b"ours")
    (root / "queue.json~").write_bytes(b"edited")
    (root / "queue.json~").rename(root / KEY)
    with pytest.raises(CASConflictError):
        await store.put(KEY, b"ours again", if_version=version)
    assert (root / KEY).read_bytes() == b"edited"


async def test_put_after_an_edit_that_was_undone_then_accepted(
    store: LocalBackend, root: Path
) -> None:
    version = await store.create(KEY, b"one")
    (root / KEY).write_bytes(b"two")
    (root / KEY).write_bytes(b"one")
    await store.put(KEY, b"three", if_version=version)
    assert (root / KEY).read_bytes() == b"three"


async def test_version_then_the_same_for_every_process_and_instance(
    store: LocalBackend, other: LocalBackend
) -> None:
    assert await store.create("a", b"one") == await other.create("b", b"one")


async def test_get_before_anything_was_written_then_not_found_and_nothing_made(
    store: LocalBackend, root: Path
) -> None:
    with pytest.raises(StoreNotFoundError, match=r"queue\.json.*no such object"):
        await store.get(KEY)
    with pytest.raises(StoreNotFoundError, match=r"look at 'queue\.json'.*no such object"):
        await store.head(KEY)
    assert await keys_of(store) == []
    await store.delete(KEY)
    assert not root.exists()


async def test_create_after_the_directory_was_removed_then_made_again(
    store: LocalBackend, root: Path
) -> None:
    await store.create(KEY, b"one")
    (root / KEY).unlink()
    root.rmdir()
    await store.create(KEY, b"two")
    assert (root / KEY).read_bytes() == b"two"


async def test_create_where_a_directory_has_the_name_then_denied(store: LocalBackend) -> None:
    await store.create("archive/1", b"x")
    with pytest.raises(StoreDeniedError, match="not an object"):
        await store.create("archive", b"x")
    with pytest.raises(StoreNotFoundError):
        await store.get("archive")
    with pytest.raises(StoreNotFoundError):
        await store.head("archive")


async def test_create_of_a_taken_key_that_is_deleted_meanwhile_then_conflict(
    store: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.create(KEY, b"one")
    real = os.link

    def link(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        try:
            real(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        finally:
            os.unlink(new, dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(CASConflictError):
        await store.create(KEY, b"two")


async def test_create_below_an_object_then_denied(store: LocalBackend) -> None:
    await store.create(KEY, b"x")
    with pytest.raises(StoreDeniedError, match="not a directory"):
        await store.create(f"{KEY}/below", b"x")


async def test_create_in_a_path_that_is_a_file_then_denied(root: Path) -> None:
    root.write_bytes(b"")
    store = LocalBackend(root)
    with pytest.raises(StoreDeniedError, match="not a directory"):
        await store.create(KEY, b"x")
    await store.close()


async def test_create_in_a_path_that_is_a_dangling_link_then_unavailable(root: Path) -> None:
    root.symlink_to("nowhere")
    store = LocalBackend(root)
    with pytest.raises(StoreUnavailableError, match="gone as soon as it is made"):
        await store.create(KEY, b"x")
    await store.close()


async def test_store_in_a_linked_directory_then_used_through_the_link(
    store: LocalBackend, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    root.symlink_to("elsewhere")
    await store.create(KEY, b"x")
    assert (tmp_path / "elsewhere" / KEY).read_bytes() == b"x"


@pytest.mark.timeout(10)
async def test_get_of_a_pipe_then_denied_without_waiting_for_a_writer(
    store: LocalBackend, root: Path
) -> None:
    root.mkdir()
    os.mkfifo(root / KEY)
    with pytest.raises(StoreDeniedError, match="not a regular file"):
        await store.get(KEY)
    with pytest.raises(StoreDeniedError, match="not a regular file"):
        await store.head(KEY)


async def test_list_then_hides_what_is_not_an_object(store: LocalBackend, root: Path) -> None:
    await store.create("a/1", b"x")
    (root / ".queue.json.swp").write_bytes(b"an editor's")
    (root / "empty").mkdir()
    os.mkfifo(root / "pipe")
    (root / "link").symlink_to("a/1")
    (root / "linked").symlink_to("a")
    Path(os.fsdecode(bytes(root) + b"/bad\xff")).write_bytes(b"a name that is not text")
    assert await keys_of(store) == ["a/1"]


async def test_list_of_a_volume_of_its_own_then_lost_and_found_is_passed_over(
    store: LocalBackend, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.create("a/1", b"x")
    (root / "lost+found").mkdir()
    (root / "private").mkdir()
    real, closed_to_us = os.open, {"lost+found"}

    def guarded(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path in closed_to_us:
            raise PermissionError(errno.EACCES, "not yours")
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", guarded)
    assert await keys_of(store) == ["a/1"]
    closed_to_us.add("private")
    with pytest.raises(StoreDeniedError):
        await keys_of(store)
    assert await keys_of(store, "a/") == ["a/1"]


async def test_put_while_others_hold_the_lock_then_busy_within_the_wait_and_untouched(
    root: Path,
) -> None:
    store = LocalBackend(root, lock_wait_ms=30)
    version = await store.create(KEY, b"one")
    held = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreBusyError, match="30 ms"):
            await store.put(KEY, b"two", if_version=version)
        with pytest.raises(StoreBusyError):
            await store.delete(KEY)
        assert await store.get(KEY) == Stored(b"one", version)
    finally:
        os.close(held)
    assert sorted(path.name for path in root.iterdir()) == [KEY]
    await store.put(KEY, b"two", if_version=version)
    await store.close()


async def test_create_while_others_hold_the_lock_then_not_kept_waiting(
    store: LocalBackend, root: Path
) -> None:
    root.mkdir()
    held = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        await asyncio.wait_for(store.create(KEY, b"one"), 4)
    finally:
        os.close(held)


async def test_put_when_the_lock_comes_free_while_it_waits_then_done(
    store: LocalBackend, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = await store.create(KEY, b"one")
    held = os.open(root, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    monkeypatch.setattr("osqueue.storage.disk.time.sleep", lambda _: os.close(held))
    await store.put(KEY, b"two", if_version=version)
    assert (root / KEY).read_bytes() == b"two"
