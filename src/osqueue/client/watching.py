"""Noticing that a broker has gone silent while requests wait at it.

A process that is stopped, and a host that is gone, keep their connections: a claim would wait
there for as long as it may. So while requests are under way at a broker, it is asked now and then
whether it is there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["CHECK_EVERY_S", "Watch"]

CHECK_EVERY_S: Final = 10.0
"""How often: a takeover from a silent broker takes about as long, and an idle worker's claims cost
more than two such questions for each."""


class Watch:
    """Calls ``check(url)`` again and again while requests are under way there."""

    def __init__(
        self,
        check: Callable[[str], Awaitable[None]],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._check = check
        self._sleep = sleep
        self._requests: Counter[str] = Counter()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        """How many brokers are watched, or remembered."""
        return len(self._requests.keys() | self._tasks.keys())

    @contextmanager
    def over(self, url: str) -> Iterator[None]:
        """Inside, a request is under way at ``url``."""
        self._requests[url] += 1
        if url not in self._tasks:
            self._tasks[url] = asyncio.create_task(self._run(url), name=f"osqueue-watch-{url}")
        try:
            yield
        finally:
            self._requests[url] -= 1

    async def close(self) -> None:
        """Watch no more. A second close does nothing."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self, url: str) -> None:
        """Until a time passes in which nothing waits: a task for each request would cost more."""
        try:
            while self._requests[url]:
                await self._sleep(CHECK_EVERY_S)
                if self._requests[url]:
                    await self._check(url)
        finally:
            del self._tasks[url]
            if not self._requests[url]:
                del self._requests[url]
