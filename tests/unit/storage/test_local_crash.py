"""Processes that are killed, and processes that race, on one directory."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from osqueue.errors import StoreBusyError
from osqueue.storage import LocalBackend
from osqueue.storage.drafts import DRAFT_PREFIX, DRAFT_TRIES_MAX

KEY = "queue.json"
HERE = Path(__file__).parent
KILLS = 15


class Brake(Protocol):
    reached: threading.Event
    let_go: threading.Event


def drafts_in(root: Path) -> list[str]:
    return [path.name for path in root.iterdir() if path.name.startswith(DRAFT_PREFIX)]


@contextmanager
def counting(root: Path, *, total: int, tasks: int) -> Iterator[subprocess.Popen[str]]:
    """A process that counts when it gets a line; killed at the end, if it is still there."""
    process = subprocess.Popen(
        [sys.executable, HERE / "counter_process.py", root, str(total), str(tasks)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def acknowledged(process: subprocess.Popen[str], *, at_most: int) -> list[int]:
    """The next values that the process says are written; fewer when it has ended."""
    assert process.stdout is not None
    lines = [line for _ in range(at_most) if (line := process.stdout.readline())]
    return [int(line) for line in lines if line.endswith("\n")]


def counted(root: Path) -> int:
    value: int = json.loads((root / KEY).read_bytes())["value"]
    return value


async def test_writers_killed_at_any_moment_then_whole_and_nothing_acknowledged_is_lost(
    store: LocalBackend, root: Path
) -> None:
    await store.create(KEY, b'{"value": 0}')
    last = 0
    for kill in range(KILLS):
        with counting(root, total=100_000, tasks=1) as process:
            go(process)
            last = acknowledged(process, at_most=1 + kill)[-1]
            await asyncio.sleep(
                kill * 7 % 10 / 10_000
            )  # waits for nothing: moves the moment of death
            process.kill()
            last = max([last, *acknowledged(process, at_most=1_000)])
        assert counted(root) in {last, last + 1}
    later = LocalBackend(root)
    await later.get(KEY)
    await later.close()
    assert drafts_in(root) == []


async def test_two_processes_of_eight_racing_tasks_then_every_success_counts(
    store: LocalBackend, root: Path
) -> None:
    await store.create(KEY, b'{"value": 0}')
    with (
        counting(root, total=150, tasks=8) as one,
        counting(root, total=150, tasks=8) as two,
    ):
        go(one)
        go(two)
        values = acknowledged(one, at_most=150) + acknowledged(two, at_most=150)
    assert sorted(values) == list(range(1, 301))
    assert counted(root) == 300


@pytest.mark.parametrize(
    ("operation", "before", "after"),
    [
        ("create", "missing", "new"),
        ("nested", "missing", "new"),
        ("put", "old", "new"),
        ("delete", "old", "missing"),
    ],
)
def test_operation_killed_before_each_of_its_system_calls_then_done_or_not_and_swept(
    operation: str, before: str, after: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, HERE / "crash_points.py", tmp_path, operation],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    turning_point = found.index(after)
    assert turning_point > 5
    assert set(found[:turning_point]) == {before}
    assert set(found[turning_point:]) == {after}


async def test_first_use_then_drafts_of_the_dead_are_swept_and_nothing_else(
    store: LocalBackend, root: Path
) -> None:
    root.mkdir()
    (root / f"{DRAFT_PREFIX}dead").write_bytes(b"half")
    (root / ".queue.json.swp").write_bytes(b"an editor's")
    await store.create(KEY, b"one")
    assert sorted(path.name for path in root.iterdir()) == [".queue.json.swp", KEY]


async def test_first_use_while_another_writes_then_its_draft_stays(
    store: LocalBackend, other: LocalBackend, root: Path, brake: Brake
) -> None:
    root.mkdir()
    brake.reached.set()
    await store.create(KEY, b"one")
    brake.reached.clear()
    create = asyncio.create_task(store.create("slow", b"two"))
    await asyncio.to_thread(brake.reached.wait, 10)
    await other.get(KEY)
    assert len(drafts_in(root)) == 1
    brake.let_go.set()
    await create
    assert drafts_in(root) == []


@pytest.mark.parametrize("swept", [1, DRAFT_TRIES_MAX])
async def test_draft_swept_between_its_making_and_its_locking_then_another_is_made(
    swept: int, store: LocalBackend, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.create("used", b"x")
    real, left = fcntl.flock, swept

    def too_late(file: int, operation: int) -> None:
        nonlocal left
        if left and drafts_in(root):
            left -= 1
            for name in drafts_in(root):
                (root / name).unlink()
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", too_late)
    if swept < DRAFT_TRIES_MAX:
        await store.create(KEY, b"one")
        assert (root / KEY).read_bytes() == b"one"
    else:
        with pytest.raises(StoreBusyError):
            await store.create(KEY, b"one")
    assert left == 0


async def test_draft_locked_by_a_sweeper_then_left_to_it_and_another_is_made(
    store: LocalBackend, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.create("used", b"x")
    real = fcntl.flock
    sweepers: list[int] = []

    def after_the_sweeper(file: int, operation: int) -> None:
        if not sweepers:
            sweepers.append(os.open(root / drafts_in(root)[0], os.O_RDONLY))
            real(sweepers[0], operation)
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", after_the_sweeper)
    await store.create(KEY, b"one")
    os.close(sweepers[0])
    assert (root / KEY).read_bytes() == b"one"
    assert drafts_in(root) == []
