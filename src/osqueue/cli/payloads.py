"""Where a producer's payloads come from: counted, or one for each line of JSON."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Protocol

import msgspec

from osqueue.cli.failures import CliError

__all__ = ["Counted", "Lines", "Payloads"]

LINE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Longest line: far beyond what a broker takes, and what is no file of lines ends here."""

READ_BYTES: Final = 64 * 1024
LINES_AHEAD: Final = 2_000
"""Lines read before they are asked for: two requests."""


class Payloads(Protocol):
    """A source of payloads."""

    @property
    def total(self) -> int | None:
        """How many there are, if that is known."""
        ...

    async def take(self, most: int) -> list[object]:
        """Those that are there, at most so many, waiting for the first; none at the end."""
        ...


class Counted:
    """``count`` payloads, without end for 0: the same one, or ``{"n": 1}``, ``{"n": 2}`` ..."""

    def __init__(self, count: int, payload: msgspec.Raw | None) -> None:
        self.total = count or None
        self._payload = payload
        self._numbers: Iterator[int] = iter(range(1, count + 1)) if count else itertools.count(1)

    async def take(self, most: int) -> list[object]:
        numbers = itertools.islice(self._numbers, most)
        return [{"n": n} if self._payload is None else self._payload for n in numbers]


class Lines:
    """The lines of a file, as they come; empty ones are skipped."""

    total = None

    def __init__(self, path: str) -> None:
        self._name = "stdin" if path == "-" else path
        self._file = _open(path)
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = threading.Semaphore(LINES_AHEAD)
        self._number = 0
        self._ended = False
        self._loop = asyncio.get_running_loop()
        # Reading cannot be interrupted; a daemon thread does not keep the process from ending.
        threading.Thread(target=self._read, name="osqueue-lines", daemon=True).start()

    async def take(self, most: int) -> list[object]:
        taken: list[object] = []
        while len(taken) < most and not self._ended and (not taken or not self._lines.empty()):
            line = await self._lines.get()
            self._room.release()
            self._ended = line is None
            self._number += 1
            if line is not None and line.strip():
                taken.append(self._payload(line))
        return taken

    def _payload(self, line: bytes) -> msgspec.Raw:
        try:
            json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CliError(f"line {self._number} of {self._name} is not JSON: {error}") from error
        return msgspec.Raw(line.strip())

    def _read(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            for line in itertools.chain(_split(self._file), [None]):
                self._room.acquire()
                self._loop.call_soon_threadsafe(self._lines.put_nowait, line)


def _open(path: str) -> int:
    if path == "-":
        return sys.stdin.fileno()
    try:
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}") from error


def _split(file: int) -> Iterator[bytes]:
    """The lines of an open file. Unbuffered: an interrupted process must not wait for a lock."""
    rest = b""
    while chunk := os.read(file, READ_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > LINE_BYTES_MAX:
            break
    if rest:
        yield rest
