"""Waiting for what a page has set going in the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

__all__ = ["WAIT_S", "eventually"]

LOOK_S = 0.02
WAIT_S = 60
"""For what hangs: a busy machine may take long for what a page shows at once."""


async def eventually(true: Callable[[], Awaitable[object]], within_s: float = WAIT_S) -> None:
    """Return when it is true. Raises `AssertionError` when that takes too long."""
    try:
        async with asyncio.timeout(within_s):
            while not await true():  # noqa: ASYNC110 - nothing tells us of other processes
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise AssertionError(f"it did not come to pass within {within_s} s") from None
