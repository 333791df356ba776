"""What a program wants to be told of its jobs, by plain or async functions.

Whatever a callback raises is logged, and one that hangs is given up: neither harms a job.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

from osqueue.client.transports.lifetime import is_cancelled

__all__ = ["CallbackRunner"]

_log = logging.getLogger("osqueue.worker")


class CallbackRunner:
    """Calls callbacks; those that are async run in the background, unless they are waited for."""

    def __init__(self, timeout_ms: int) -> None:
        self._timeout_s = timeout_ms / 1_000
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def tasks(self) -> Collection[asyncio.Task[None]]:
        """Those that run in the background."""
        return self._tasks

    def tell(self, callbacks: Iterable[Callable[..., Any]], *arguments: Any) -> None:
        """Call them, and wait for none."""
        for callback in callbacks:
            waiting = self._called(callback, arguments)
            if waiting is not None:
                task = asyncio.create_task(
                    self._seen_through(callback, waiting), name="osqueue-callback"
                )
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def told(self, callbacks: Iterable[Callable[..., Any]], *arguments: Any) -> None:
        """Call them, one after another."""
        for callback in callbacks:
            waiting = self._called(callback, arguments)
            if waiting is not None:
                await self._seen_through(callback, waiting)

    def _called(self, callback: Callable[..., Any], arguments: tuple[Any, ...]) -> Any | None:
        try:
            result = callback(*arguments)
        except (Exception, SystemExit):  # noqa: BLE001 - a program's callback must not harm its jobs
            _log.exception("a callback failed: %r", callback)
            return None
        return result if inspect.isawaitable(result) else None

    async def _seen_through(self, callback: Callable[..., Any], waiting: Awaitable[Any]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await waiting
        except (Exception, SystemExit):  # noqa: BLE001 - the same
            _log.exception("a callback failed, or took too long: %r", callback)
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            _log.exception("a callback was cancelled: %r", callback)
