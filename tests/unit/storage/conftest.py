from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from osqueue.storage import LocalBackend


class Brake:
    """Stops whoever calls `pause`, on another thread, until the test lets go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.let_go = threading.Event()

    def pause(self) -> None:
        self.reached.set()
        self.let_go.wait(10)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
async def store(root: Path) -> AsyncIterator[LocalBackend]:
    backend = LocalBackend(root)
    yield backend
    await backend.close()


@pytest.fixture
async def other(root: Path) -> AsyncIterator[LocalBackend]:
    backend = LocalBackend(root)
    yield backend
    await backend.close()


@pytest.fixture
def brake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Brake]:
    """The next sync of a file stops there, on the store's thread."""
    brake = Brake()
    real = os.fsync

    def fsync(file: int) -> None:
        if not brake.reached.is_set():
            brake.pause()
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    yield brake
    brake.let_go.set()
