"""The demo's directory: what is in it, and that only one demo is at work there.

The lock's descriptor is handed on to the brokers and the workers, so the directory is free only
when all of them have ended, whoever was killed how.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from osqueue.cli.failures import CliError
from osqueue.clock import SystemClock

__all__ = ["KeptBroker", "Place"]

LOCK_WAIT_MS: Final = 15_000
"""The processes of a killed demo end by themselves in less: they finish their jobs."""

LOCK_LOOK_S: Final = 0.1
SAY_AFTER_MS: Final = 500

_OWN: Final = ("queue", "results", "pings", "logs")


class KeptBroker(msgspec.Struct, frozen=True):
    """A broker that was left running."""

    pid: int
    address: str


class Place:
    """A demo's directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.queue, self.results, self.pings, self.logs = (root / name for name in _OWN)
        self.record = root / "run.json"
        self.kept = root / "kept-broker.json"
        self._lock = root / "demo.lock"

    @property
    def storage(self) -> str:
        """The URL of the queue."""
        return f"file://{quote(os.fsencode(self.queue))}"

    @asynccontextmanager
    async def taken(self, say: Callable[[str], None]) -> AsyncIterator[int]:
        """Hold the directory; gives the lock's descriptor. Raises `CliError` if it is in use."""
        lock = self._open_lock()
        try:
            await self._take(lock, say)
            self.kept.unlink(missing_ok=True)
            yield lock
        finally:
            os.close(lock)

    def clear(self) -> None:
        """Remove what an earlier run left; the record first, so that none outlives its data."""
        self.record.unlink(missing_ok=True)
        for name in _OWN:
            shutil.rmtree(self.root / name, ignore_errors=True)

    def prepare(self) -> None:
        """Make the directories."""
        for name in _OWN:
            (self.root / name).mkdir(exist_ok=True)

    def _open_lock(self) -> int:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if not self._lock.exists() and any(self.root.iterdir()):
                raise CliError(f"{self.root} holds other things: choose another with --data")
            return os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise CliError(f"cannot use {self.root}: {error.strerror}") from error

    async def _take(self, lock: int, say: Callable[[str], None]) -> None:
        clock = SystemClock()
        began_ms, said = clock.mono_ms(), False
        while not _try_lock(lock):
            self._refuse_kept()
            gone_ms = clock.mono_ms() - began_ms
            if gone_ms > LOCK_WAIT_MS:
                raise CliError(f"another demo is at work in {self.root}")
            if gone_ms > SAY_AFTER_MS and not said:
                said = True
                say("Waiting for the processes of another run to end...")
            await asyncio.sleep(LOCK_LOOK_S)

    def _refuse_kept(self) -> None:
        try:
            kept = msgspec.json.decode(self.kept.read_bytes(), type=KeptBroker)
        except (OSError, msgspec.DecodeError):
            return
        raise CliError(
            f"the broker that an earlier demo left running uses {self.root}; stop it with: "
            f"kill {kept.pid}"
        )


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
