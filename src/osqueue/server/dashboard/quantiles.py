"""How values are spread, to within a sixteenth of each, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import Final

__all__ = ["Spread"]

_BITS: Final = 4
_STEPS: Final = 1 << _BITS
"""Buckets for each doubling."""


class Spread:
    """Counts of whole numbers from 0 on, in buckets that grow with them; smaller ones are 0."""

    __slots__ = ("_counts", "_total")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._total = 0

    def add(self, values: Iterable[int]) -> None:
        """Count these, too."""
        counts = self._counts
        for value in values:
            if value < _STEPS:
                at = max(0, value)
            else:
                shift = value.bit_length() - 1 - _BITS
                at = (shift << _BITS) + (value >> shift)
            counts[at] = counts.get(at, 0) + 1
            self._total += 1

    def quantile(self, share: float) -> int | None:
        """What this share of the values does not exceed, about; ``None`` without any."""
        left = ceil(self._total * share)
        for at, count in sorted(self._counts.items()):
            left -= count
            if left <= 0:
                return _middle(at)
        return None


def _middle(at: int) -> int:
    """What stands for the values of a bucket."""
    if at < _STEPS:
        return at
    shift = (at >> _BITS) - 1
    return ((_STEPS + (at & (_STEPS - 1))) << shift) + (1 << shift >> 1)
