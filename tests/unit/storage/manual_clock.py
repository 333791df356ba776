"""Time that moves when told, and sleepers that wake by it."""

from __future__ import annotations

import asyncio

__all__ = ["ManualClock", "settle"]

SETTLE_TURNS = 20
"""Turns of the event loop in which everything that can go on has done so."""

DAY_MS = 86_400_000


class ManualClock:
    """Begins at noon of some UTC day."""

    def __init__(self) -> None:
        self.wall = 20_000 * DAY_MS + DAY_MS // 2
        self.mono = 1_000
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def wall_ms(self) -> int:
        return self.wall

    def mono_ms(self) -> int:
        return self.mono

    def cpu_us(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        """What a throttle is given instead of `asyncio.sleep`."""
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.mono + round(seconds * 1_000), awake))
        await awake

    async def passes(self, ms: int) -> None:
        """Let time pass, one millisecond after another where somebody would wake."""
        until = self.mono + ms
        await settle()
        while self.mono < until:
            wakes = [at for at, future in self._sleepers if not future.done()]
            step = max(1, min([until, *wakes]) - self.mono)
            self.mono += step
            self.wall += step
            for at, future in self._sleepers:
                if at <= self.mono and not future.done():
                    future.set_result(None)
            self._sleepers = [each for each in self._sleepers if not each[1].done()]
            await settle()


async def settle() -> None:
    for _ in range(SETTLE_TURNS):
        await asyncio.sleep(0)
