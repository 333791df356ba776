"""Files that may change while a broker runs, such as lists of tokens and certificates.

Laws: a change counts when two looks in a row have seen it, for who writes in place, or several
files one after the other, may be half through; looking never holds up the loop, nor waits for
whoever is to write into a pipe; what `take` does not like changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

__all__ = ["FileWatch", "Look", "Looks", "look_at"]

logger = logging.getLogger("osqueue.server")


class Look(NamedTuple):
    """What a file holds, or why it cannot be read."""

    path: str
    data: bytes = b""
    failure: str | None = None
    mode: int = 0
    """Who may read and write it."""


Looks: TypeAlias = tuple[Look, ...]


def look_at(paths: Sequence[str], *, bytes_max: int) -> Looks:
    """Read files of up to so many bytes each. Blocks."""
    return tuple(_look(path, bytes_max) for path in paths)


class FileWatch:
    """Calls ``take`` when files have changed from what ``seen`` shows. `start` and `stop` it."""

    def __init__(
        self, seen: Looks, take: Callable[[Looks], None], *, every_ms: int, bytes_max: int
    ) -> None:
        self._paths = [look.path for look in seen]
        self._taken = self._seen = seen
        self._take = take
        self._every_s = every_ms / 1_000
        self._bytes_max = bytes_max
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look from time to time. A second start does nothing."""
        if self._task is None and self._paths:
            names = ", ".join(self._paths)
            self._task = asyncio.create_task(self._run(), name=f"osqueue watch of {names}")

    async def stop(self) -> None:
        """Look no more. Harmless at any time."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def look(self) -> None:
        """Look once."""
        found = await asyncio.to_thread(look_at, self._paths, bytes_max=self._bytes_max)
        settled, self._seen = found == self._seen, found
        if settled and found != self._taken:
            self._taken = found
            self._take(found)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.look()
            except Exception:
                logger.exception("looking at %s failed inside", ", ".join(self._paths))


def _look(path: str, bytes_max: int) -> Look:
    try:
        with open(path, "rb", opener=_at_once) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                return Look(path, failure="is no regular file")
            data = file.read(bytes_max + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        return Look(path, failure=f"cannot be read: {reason or error}")
    if len(data) > bytes_max:
        return Look(path, failure=f"is larger than {bytes_max} bytes")
    return Look(path, data, mode=stat.S_IMODE(mode))


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for somebody to write: a pipe would hold up who looks for ever."""
    return os.open(path, flags | os.O_NONBLOCK)
