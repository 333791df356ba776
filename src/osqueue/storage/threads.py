"""Blocking calls of a cloud library, on threads of the store's own.

The libraries are used through their blocking interfaces only: the asynchronous one of the library
for S3 and Azure aborts the interpreter at the exit of up to a third of short processes.

Two lanes, so that a slow transfer never holds up the state object:

- ``STATE``: calls that name a version or ask for one (a commit, a confirmation, a standby's look).
  Two threads: a put that hangs does not hold up the look beside it.
- ``TRANSFER``: everything else (payloads, archive, listings). Four threads: enough to fill a
  network link with large objects, few enough to bound their memory.

Beside them one thread tidies up, so that no answer waits for it (`StoreThreads.later`), and two
take over parts of a call that it can do without for a while (`StoreThreads.beside`).

A call whose awaiting is cancelled is dropped if it has not begun, and otherwise carried out in
full. Each call ends by its library's own time-out, so neither `StoreThreads.close` nor the end of
the process waits longer than that; the threads are no daemons, because a library that returns
into an interpreter that is gone aborts the process.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import StrEnum
from typing import TypeVar

from osqueue.errors import StoreUnavailableError

__all__ = [
    "BESIDE_THREADS",
    "LATER_MAX",
    "STATE_THREADS",
    "TRANSFER_THREADS",
    "Lane",
    "StoreThreads",
]

STATE_THREADS = 2
TRANSFER_THREADS = 4
BESIDE_THREADS = 2
"""For the old and the new content of the object that one commit writes."""

LATER_MAX = 16
"""Tidying that waits, at most: what is beyond it is done at once, so a disk that is slow at it
slows its writers down, and never runs the process out of open files."""

T = TypeVar("T")


class Lane(StrEnum):
    """Which threads a call runs on."""

    STATE = "state"
    TRANSFER = "transfer"


class StoreThreads:
    """The threads of one store. They begin with the first call and end with `close`."""

    def __init__(self) -> None:
        self._pools = {
            Lane.STATE: _pool(Lane.STATE, STATE_THREADS),
            Lane.TRANSFER: _pool(Lane.TRANSFER, TRANSFER_THREADS),
        }
        self._beside = ThreadPoolExecutor(BESIDE_THREADS, thread_name_prefix="osqueue-store-beside")
        self._tidying = ThreadPoolExecutor(1, thread_name_prefix="osqueue-store-tidying")
        self._room = threading.BoundedSemaphore(LATER_MAX)
        self._closed = False

    async def run(self, lane: Lane, work: Callable[[], T]) -> T:
        """The result of blocking ``work``. `StoreUnavailableError` once the store is closed."""
        self._check_open()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pools[lane], self._unless_closed, work)

    def beside(self, work: Callable[[], T]) -> Callable[[], T]:
        """For the work of `run`: begin this part of it now, and have its result when asked.

        A part may not begin parts of its own. Whoever asks for nothing leaves it running.
        """
        try:
            return self._beside.submit(work).result
        except RuntimeError:  # the interpreter is ending, or the store was closed meanwhile
            return work

    def later(self, work: Callable[[], object]) -> None:
        """For the work of `run`: do this some time, and leave it when the system refuses."""
        if not self._room.acquire(blocking=False):
            _if_possible(work)
            return
        try:
            self._tidying.submit(self._tidy, work)
        except RuntimeError:  # the interpreter is ending, or the store was closed meanwhile
            self._tidy(work)

    async def close(self) -> None:
        """Finish what was begun, refuse what waits, end the threads. Harmless when repeated."""
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(None, self._end)

    def _tidy(self, work: Callable[[], object]) -> None:
        _if_possible(work)
        self._room.release()

    def _unless_closed(self, work: Callable[[], T]) -> T:
        self._check_open()
        return work()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError("the store is closed: open another one")

    def _end(self) -> None:
        for pool in (*self._pools.values(), self._beside, self._tidying):
            pool.shutdown()


def _if_possible(work: Callable[[], object]) -> None:
    with suppress(OSError):
        work()


def _pool(lane: Lane, threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix=f"osqueue-store-{lane}")
