"""Waiting for what another process does: the one place that looks again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["until"]

LOOK_S = 0.02


async def until(true: Callable[[], object], *, timeout_s: float | None = None) -> bool:
    """Whether it became true in time; without a time this waits for ever."""
    try:
        async with asyncio.timeout(timeout_s):
            while not true():  # noqa: ASYNC110 - nothing tells us of other processes
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        return False
    return True
