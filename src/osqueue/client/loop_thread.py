"""An event loop in a thread of its own, for callers that have none.

Laws: the thread begins with the first call, and is a daemon: it keeps no program alive; every call
ends, also one that begins while the loop is stopped; a caller that is interrupted (Ctrl-C) has its
call cancelled, and goes on when that has ended; after a fork the child begins a thread and a loop
of its own, and leaves those of its parent alone.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Final, Generic, TypeVar

from osqueue.errors import TransportConfigError

__all__ = ["LoopThread"]

_T = TypeVar("_T")

CANCEL_S_MAX: Final = 5.0
"""How long an interrupted caller waits for its call to end: the broker is told within that."""

STOP_S_MAX: Final = 10.0
"""How long closing may take: as long as an answer."""


class LoopThread:
    """Runs coroutines for any number of threads. `stop` it when it is not needed any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: _Loop | None = None
        self._stopped = False
        self._abandoned: list[object] = []

    @property
    def forked(self) -> bool:
        """Whether this is the child of the process that has begun the loop."""
        return self._loop is not None and self._loop.pid != os.getpid()

    def run(self, make: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """What the coroutine returns or raises. It is made and run in the thread."""
        return self._begun().run(make)

    def abandon(self, *used: object) -> None:
        """Forget the loop of the parent, and leave alone what it, and ``used``, still hold open.

        They are kept, so that nothing is closed when they would be collected.
        """
        with self._lock:
            if self._loop is not None:
                self._loop.disown()
                self._abandoned += [self._loop, *used]
                self._loop = None

    def stop(self, last: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Run ``last``, then end the loop and its thread. A second time does nothing.

        It returns when that is done, unless it is called in that thread (a client may be collected
        anywhere). What is under way by then raises `TransportConfigError`.
        """
        with self._lock:
            self._stopped = True
            loop, self._loop = self._loop, None
        if loop is not None and loop.pid == os.getpid():
            loop.stop(last or _nothing)

    def _begun(self) -> _Loop:
        with self._lock:
            if self._stopped:
                raise _closed()
            if self._loop is None:
                self._loop = _Loop()
            if self._loop.pid != os.getpid():
                raise TransportConfigError("this was begun before a fork; begin it anew")
            return self._loop


class _Loop:
    """One loop, one thread, one process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._over = False
        self._selector = selectors.DefaultSelector()
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._thread = threading.Thread(target=self._serve, name="osqueue-client", daemon=True)
        self._thread.start()

    def run(self, make: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        if threading.current_thread() is self._thread:
            raise TransportConfigError(
                "a blocking call from within this client's own loop would wait for itself"
            )
        call = _Call(self._loop, make)
        with self._lock:
            if self._over:
                raise _closed()
            self._loop.call_soon_threadsafe(call.begin)
        return call.outcome()

    def stop(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Take no more calls, and end after ``last``. Called once."""
        ending = _Call(self._loop, partial(self._end, last))
        with self._lock:
            self._over = True
            self._loop.call_soon_threadsafe(ending.begin)
        if threading.current_thread() is not self._thread:
            try:
                ending.outcome()
            finally:
                self._thread.join(STOP_S_MAX)

    async def _end(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await last()
        finally:
            self._loop.stop()

    def disown(self) -> None:
        """Let nothing that is done to the loop here reach the parent's: they share the selector."""
        self._selector.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            _cancel_all(self._loop)
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()


class _Call(Generic[_T]):
    """One coroutine, from the thread that waits for it to the loop, and back."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, make: Callable[[], Coroutine[Any, Any, _T]]
    ) -> None:
        self._loop = loop
        self._make = make
        self._task: asyncio.Task[_T] | None = None
        self._ended = threading.Event()

    def begin(self) -> None:
        """In the loop."""
        self._task = self._loop.create_task(self._make())
        self._task.add_done_callback(lambda _: self._ended.set())

    def outcome(self) -> _T:
        """In the thread that waits."""
        try:
            self._ended.wait()
        except BaseException:
            with suppress(RuntimeError):  # the loop is closed: it has ended
                self._loop.call_soon_threadsafe(self._cancel)
            self._ended.wait(CANCEL_S_MAX)
            raise
        assert self._task is not None, "it has ended"
        if self._task.cancelled():
            raise _closed()
        return self._task.result()

    def _cancel(self) -> None:
        assert self._task is not None, "it began before"
        self._task.cancel()


async def _nothing() -> None:
    """What is last when nothing is left to do."""


def _closed() -> TransportConfigError:
    return TransportConfigError("this client is closed; make a new one")


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    """End what is still running, and wait for that."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks))
