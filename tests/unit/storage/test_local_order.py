"""The steps of a write, in the order that makes it survive (see the head of `local`)."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from osqueue.errors import CASConflictError
from osqueue.storage import LocalBackend, Version
from osqueue.storage.drafts import DRAFT_PREFIX

KEY = "queue.json"


class Recorder:
    """Notes the system calls that matter, with the names of the files they are about."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[str] = []
        self._names: dict[int, str] = {}
        self._watch(monkeypatch, "open", self._opened)
        self._watch(monkeypatch, "write", lambda _, file, *__: self._note("write", file))
        self._watch(monkeypatch, "fsync", lambda _, file: self._note("sync", file))
        self._watch(monkeypatch, "mkdir", lambda _, name, *__, **___: self._made(name))
        self._watch(monkeypatch, "link", lambda _, old, new, **__: self._note("link", old, new))
        self._watch(monkeypatch, "replace", lambda _, old, new, **__: self._note("move", old, new))
        self._watch(monkeypatch, "unlink", lambda _, name, **__: self._note("remove", name))
        self._watch_locks(monkeypatch)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, name: str, note: Callable[..., None]) -> None:
        real = getattr(os, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            answer = real(*args, **kwargs)
            note(answer, *args, **kwargs)
            return answer

        monkeypatch.setattr(os, name, watched)

    def _watch_locks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = fcntl.flock

        def watched(file: int, operation: int) -> None:
            real(file, operation)
            self._note("unlock" if operation == fcntl.LOCK_UN else "lock", file)

        monkeypatch.setattr(fcntl, "flock", watched)

    def _opened(self, file: int, path: str | Path, *_: int, **__: int) -> None:
        self._names[file] = Path(path).name

    def _made(self, path: str | Path) -> None:
        self._note("make", Path(path).name)

    def _note(self, verb: str, *about: int | str) -> None:
        names = [self._names.get(item, "?") if isinstance(item, int) else item for item in about]
        shown = ["draft" if name.startswith(DRAFT_PREFIX) else name for name in names]
        self.steps.append(" ".join([verb, *shown]))

    def after(self, step: str) -> list[str]:
        """The steps from the first ``step`` on."""
        return self.steps[self.steps.index(step) :]


@pytest.fixture
async def used(store: LocalBackend) -> LocalBackend:
    """A store whose first use, which prepares it, is behind it."""
    await store.create("used", b"x")
    return store


async def test_put_then_draft_synced_before_the_lock_and_directory_before_the_answer(
    used: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = await used.create(KEY, b"one")
    recorder = Recorder(monkeypatch)
    await used.put(KEY, b"two", if_version=version)
    recorder.steps.append("answer")
    assert recorder.steps == [
        "lock draft",
        "write draft",
        "sync draft",
        "lock store",
        f"move draft {KEY}",
        "unlock store",
        "sync store",
        "answer",
    ]


@pytest.mark.parametrize("fits", [True, False])
async def test_put_then_what_it_replaced_is_let_go_of_on_no_caller_s_time(
    used: LocalBackend, monkeypatch: pytest.MonkeyPatch, *, fits: bool
) -> None:
    version = await used.create(KEY, b"one")
    opened, closed = list[int](), dict[int, str]()
    real_open, real_close = os.open, os.close

    def open_(path: str, *args: Any, **options: Any) -> int:
        file = real_open(path, *args, **options)
        opened.extend([file] * (path == KEY))
        return file

    def close(file: int) -> None:
        closed[file] = threading.current_thread().name
        real_close(file)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "close", close)
    with suppress(CASConflictError):
        await used.put(KEY, b"two", if_version=version if fits else Version("another"))
    await used.close()
    (old,) = opened
    assert closed[old].startswith("osqueue-store-tidying")


async def test_create_in_new_directories_then_all_synced_from_the_inner_one_to_the_store(
    used: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(monkeypatch)
    await used.create("queues/x/queue.json", b"one")
    recorder.steps.append("answer")
    assert recorder.steps == [
        "make queues",
        "make x",
        "lock draft",
        "write draft",
        "sync draft",
        f"link draft {KEY}",
        "remove draft",
        "sync x",
        "sync queues",
        "sync store",
        "answer",
    ]


async def test_create_of_a_taken_key_then_what_took_it_is_durable_before_the_answer(
    used: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await used.create("archive/1", b"one")
    recorder = Recorder(monkeypatch)
    with pytest.raises(CASConflictError):
        await used.create("archive/1", b"one")
    assert recorder.after("sync draft")[1:] == ["sync archive", "sync store", "remove draft"]


async def test_get_then_what_it_answers_is_durable_first(
    used: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await used.create("archive/1", b"one")
    recorder = Recorder(monkeypatch)
    await used.get("archive/1")
    assert recorder.steps == ["sync archive", "sync store"]


async def test_delete_then_under_the_lock_and_synced(
    used: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(monkeypatch)
    await used.delete("used")
    assert recorder.steps == ["lock store", "remove used", "unlock store", "sync store"]


async def test_first_use_then_the_directories_above_the_store_are_synced_too(
    store: LocalBackend, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(monkeypatch)
    await store.create(KEY, b"one")
    above = [f"sync {parent.name}" for parent in root.parents]
    assert recorder.steps[: len(above) + 2] == ["make store", *above, "lock draft"]


async def test_put_of_a_large_object_in_partial_writes_then_whole(
    used: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:1_000]))
    data = bytes(range(256)) * 100
    await used.create(KEY, data)
    stored = await used.get(KEY)
    assert stored is not None
    assert stored.data == data
