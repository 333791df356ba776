"""Chance, from a seed: everything that is drawn in a simulation is drawn here.

Each part of the world has dice of its own, forked by name: so that taking one fault away changes as
little as can be of what else happens, and a failing run can be made shorter.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from math import log
from typing import TypeVar

from osqueue.clock import SeededEntropy

__all__ = ["Dice"]

T = TypeVar("T")


class Dice:
    """Draws; the same seed and name give the same draws."""

    def __init__(self, seed: int, name: str = "") -> None:
        self._seed = seed
        self._name = name
        mixed = zlib.crc32(f"{seed} {name}".encode())
        self.entropy = SeededEntropy((seed << 32) ^ mixed)

    def fork(self, name: str) -> Dice:
        """Dice of their own, for a part of the world that is called so."""
        return Dice(self._seed, f"{self._name}/{name}")

    def chance(self, share: float) -> bool:
        """True in this share of all draws."""
        return self.entropy.jitter() < share

    def between(self, least: float, most: float) -> float:
        """A number, evenly spread."""
        return least + (most - least) * self.entropy.jitter()

    def whole(self, least: int, most: int) -> int:
        """A whole number, both ends included."""
        return least + int(self.entropy.jitter() * (most - least + 1))

    def pick(self, among: Sequence[T]) -> T:
        """One of them."""
        return among[int(self.entropy.jitter() * len(among))]

    def about(self, mean: float) -> float:
        """A waiting time: mostly short, now and then many times the mean."""
        return -mean * log(1.0 - self.entropy.jitter())
