"""Having calls that come one by one go on together, so that they share a commit.

grpc.aio takes in one call in each turn of the loop. Handed on as they come, each would get a commit
of its own, and on a fast store the broker would do little but encode its state. So calls wait for
one another for some milliseconds as long as that brings many together, which is a fraction of what
each waits anyway; whether it does is tried again now and then. Few callers are not held up.
"""

from __future__ import annotations

import asyncio
from typing import Final

__all__ = ["Gathering"]

MANY: Final = 6
"""It is worth waiting when so many come together: a commit costs about as much as they do."""

TRIED_EVERY: Final = 64
"""Calls that go on at once after those that came were few: one in so many waits in vain."""

WAIT_MS_MIN: Final = 2
WAIT_MS_MAX: Final = 8
CALLS_PER_MS: Final = 3
"""The more come, the longer is waited: this is about as fast as they can."""


class Gathering:
    """Lets calls go on, at once or together."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []
        self._at_once = TRIED_EVERY
        """How many calls go on at once before it is tried again."""
        self._wait_ms = WAIT_MS_MIN

    async def turn(self) -> None:
        """Wait for others, if many come."""
        if self._at_once > 0:
            self._at_once -= 1
            return
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_later(self._wait_ms / 1_000, self._go_on)
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, []
        if len(waiting) < MANY:
            self._at_once = TRIED_EVERY
        self._wait_ms = min(max(WAIT_MS_MIN, len(waiting) // CALLS_PER_MS), WAIT_MS_MAX)
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)
