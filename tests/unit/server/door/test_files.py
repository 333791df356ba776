"""The timer that looks at files: it starts, goes on after a failure, and ends."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from osqueue.server.door.files import FileWatch, Looks, look_at


async def test_watch_when_started_then_changes_are_taken_and_when_stopped_no_more(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1")
    taken: asyncio.Queue[bytes] = asyncio.Queue()
    watch = watching(path, lambda looks: taken.put_nowait(looks[0].data))
    watch.start()
    watch.start()
    path.write_bytes(b"2")
    assert await asyncio.wait_for(taken.get(), 10) == b"2"
    await watch.stop()
    await watch.stop()
    assert not [task for task in asyncio.all_tasks() if "watch" in task.get_name()]


async def test_watch_when_taking_fails_then_it_is_logged_and_the_next_change_is_seen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1")
    taken: asyncio.Queue[bytes] = asyncio.Queue()

    def take(looks: Looks) -> None:
        taken.put_nowait(looks[0].data)
        if looks[0].data == b"2":
            raise ZeroDivisionError

    watch = watching(path, take)
    with caplog.at_level(logging.ERROR, "osqueue.server"):
        watch.start()
        for data in (b"2", b"3"):
            path.write_bytes(data)
            assert await asyncio.wait_for(taken.get(), 10) == data
        await watch.stop()
    assert "ZeroDivisionError" in caplog.text


async def test_watch_when_there_is_no_file_then_no_task() -> None:
    watch = FileWatch((), lambda _: None, every_ms=1, bytes_max=1)
    watch.start()
    assert len(asyncio.all_tasks()) == 1
    await watch.stop()


def test_look_when_the_name_is_impossible_then_a_failure() -> None:
    (look,) = look_at(["a\0b"], bytes_max=1)
    assert look.failure is not None
    assert "cannot be read" in look.failure


def watching(path: Path, take: object) -> FileWatch:
    seen = look_at([str(path)], bytes_max=100)
    return FileWatch(seen, take, every_ms=1, bytes_max=100)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["pipe", "directory", "device"])
def test_file_when_it_is_no_regular_one_then_said_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case _:
            path.symlink_to("/dev/zero")
    (look,) = look_at([str(path)], bytes_max=10)
    assert look.failure in {"is no regular file", "cannot be read: Is a directory"}
