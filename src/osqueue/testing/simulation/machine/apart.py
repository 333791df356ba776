"""A world of its own for each run: made, used, and taken apart before the next one is made."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Protocol, TypeVar

from osqueue.testing.simulation.machine.loop import SimulatedLoop

__all__ = ["World", "apart"]


class World(Protocol):
    """What lives on a loop of its own."""

    @property
    def loop(self) -> SimulatedLoop: ...


W = TypeVar("W", bound=World)
R = TypeVar("R")


def apart(make: Callable[[], W], use: Callable[[W], R]) -> R:
    """What ``use`` makes of a world, of which nothing is left afterwards.

    All that was there before is frozen meanwhile: the garbage collector looks through the world
    alone, and not through a program that may be a hundred times as big.
    """
    gc.freeze()
    try:
        world = make()
        loop = world.loop
        try:
            return use(world)
        finally:
            del world
            loop.close()
    finally:
        gc.unfreeze()
