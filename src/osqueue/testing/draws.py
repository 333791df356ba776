"""Drawing faults by rate from a seed: what the seeded sources of faults share.

Laws: the same seed and the same order of draws give the same faults, on any machine and whatever
the hash seed; a fault takes the same share of the numbers in whatever order the rates are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from osqueue.clock import SeededEntropy

__all__ = ["Draws"]

F = TypeVar("F", bound=StrEnum)


class Draws(Generic[F]):
    """Draws one fault at a time. ``rates`` are chances from 0 to 1, together at most 1."""

    def __init__(self, seed: int, rates: Mapping[F, float]) -> None:
        if any(not 0 <= rate <= 1 for rate in rates.values()) or sum(rates.values()) > 1 + 1e-9:
            raise ValueError("rates are chances from 0 to 1, and together at most 1")
        self._rates = sorted(rates.items())
        self._entropy = SeededEntropy(seed)

    def fault(self) -> F | None:
        """The next fault; ``None`` for none."""
        number = self._entropy.jitter()
        for fault, rate in self._rates:
            if number < rate:
                return fault
            number -= rate
        return None

    def up_to(self, most: int) -> int:
        """A number from 1 to ``most``."""
        return 1 + int(self._entropy.jitter() * most)
