"""The requests under way at each broker, so that they can be given up when they wait in vain.

A request that waits at a broker that lost its place, or that was stopped, would wait for all of
its time. Given up, it ends as a broken connection: whether it took effect is unknown, so only what
may be repeated then is entered here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from osqueue.errors import TransportConnectionError

__all__ = ["GivenUpError", "UnderWay"]

_AT_ONCE = 0.0
"""A moment of the event loop's clock that is always over."""


class GivenUpError(TransportConnectionError):
    """The request was given up: another broker leads, or this one is silent."""


class UnderWay:
    """Requests by the broker that they were sent to."""

    def __init__(self) -> None:
        self._limits: dict[str, dict[asyncio.Timeout, None]] = {}
        """In the order in which they were sent, so that they are sent again in that order."""

    def __len__(self) -> int:
        """How many are under way."""
        return sum(map(len, self._limits.values()))

    @asynccontextmanager
    async def at(self, url: str) -> AsyncIterator[None]:
        """Inside, a request is under way at ``url``. Raises `GivenUpError` when it is given up.

        An answer that has come by then is not lost: it is the request's.
        """
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._limits.setdefault(url, {})[limit] = None
                try:
                    yield
                finally:
                    self._forget(url, limit)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise GivenUpError(
                f"no answer from {url} so far: it is silent, or another broker leads by now"
            ) from error

    def give_up_elsewhere(self, leader: str) -> None:
        """Give up what is under way at any broker but the leader."""
        for url in [each for each in self._limits if each != leader]:
            self.give_up(url)

    def give_up(self, url: str) -> None:
        """Give up what is under way at one broker."""
        for limit in self._limits.pop(url, ()):
            limit.reschedule(_AT_ONCE)

    def _forget(self, url: str, limit: asyncio.Timeout) -> None:
        limits = self._limits.get(url, {})
        limits.pop(limit, None)
        if not limits:
            self._limits.pop(url, None)
