"""Being told to stop: SIGINT and SIGTERM, and for a supervised process the end of its stdin.

The first signal asks, the second ends the process at once, or asks to hurry where something can be
done in a hurry; then the third ends it. That is safe at any time: what was acknowledged is durable.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, NoReturn, Self, TypeVar

from osqueue.clock import SystemClock

__all__ = ["KEEP_RUNNING", "StopRequest", "StopRequestedError", "either", "first_of"]

_T = TypeVar("_T")

KEEP_RUNNING: Final = b"keep running\n"
"""Written to the stdin of a supervised process, it makes it go on without its supervisor."""

SAME_SIGNAL_MS: Final = 100
"""What comes sooner is the first signal once more: `timeout`, for one, sends it to the process and
to its group."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopRequestedError(Exception):
    """Work was cut short by a signal. ``exit_code`` is what a shell expects then."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


class StopRequest:
    """Whether this process has been asked to stop. A context manager, inside a running loop.

    ``hurries``: whether somebody waits to be asked to hurry.
    """

    def __init__(self, *, supervised: bool = False, hurries: bool = False) -> None:
        self._supervised = supervised
        self._hurries = hurries
        self._event = asyncio.Event()
        self._hurry = asyncio.Event()
        self.before_exit: Callable[[], None] = lambda: None
        """Called when the last signal ends this process at once."""
        self._loop = asyncio.get_running_loop()
        self._clock = SystemClock()
        self._signals = 0
        self._signal = signal.SIGTERM
        """The last of them."""
        self._signalled_ms = 0

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._loop.add_signal_handler(number, self._signalled, number)
        if self._supervised:
            self._loop.add_reader(sys.stdin.fileno(), self._stdin_readable)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number in _SIGNALS:
            self._loop.remove_signal_handler(number)
        if self._supervised:
            self._loop.remove_reader(sys.stdin.fileno())

    @property
    def requested(self) -> bool:
        """Whether it was asked."""
        return self._event.is_set()

    @property
    def exit_code(self) -> int:
        """0, unless it was in a hurry: what a shell expects then."""
        return 128 + self._signal if self._hurry.is_set() else 0

    def request(self, *, hurry: bool = False) -> None:
        """Ask it."""
        self._event.set()
        if hurry:
            self._hurry.set()

    async def wait(self) -> None:
        """Wait to be asked."""
        await self._event.wait()

    async def wait_hurry(self) -> None:
        """Wait to be asked to hurry."""
        await self._hurry.wait()

    async def unless_requested(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do the work; when asked to stop, cancel it and raise `StopRequestedError`."""
        return await first_of(work, self._raise_when_requested())

    async def _raise_when_requested(self) -> NoReturn:
        await self._event.wait()
        raise StopRequestedError(self._signal)

    def _signalled(self, number: signal.Signals) -> None:
        """Signals are counted by themselves: who signals a whole group reaches this process both
        directly and by its supervisor, in either order, and has asked it once.
        """
        now_ms = self._clock.mono_ms()
        if self._signals and now_ms - self._signalled_ms < SAME_SIGNAL_MS:
            return
        self._signals += 1
        self._signal, self._signalled_ms = number, now_ms
        if self._signals == 1:
            self._event.set()
        elif self._signals == 2 and self._hurries:
            self._hurry.set()
        else:
            self.before_exit()
            os._exit(128 + number)

    def _stdin_readable(self) -> None:
        said = os.read(sys.stdin.fileno(), len(KEEP_RUNNING))
        self._loop.remove_reader(sys.stdin.fileno())
        if said != KEEP_RUNNING:
            self._event.set()


async def first_of(work: Coroutine[Any, Any, _T], guard: Coroutine[Any, Any, NoReturn]) -> _T:
    """What ``work`` answers, or what ``guard`` raises before; the other one is cancelled first."""
    tasks = asyncio.ensure_future(work), asyncio.ensure_future(guard)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    working, guarding = tasks
    return await (guarding if working.cancelled() else working)


async def either(*waits: Coroutine[Any, Any, Any]) -> None:
    """Wait until one of them is over; the others are cancelled."""
    tasks = [asyncio.ensure_future(each) for each in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
