"""How soon the overview is renewed again: often enough for an eye, and never at the cost of work.

What a renewal takes is measured by the thread's processor time, in which others have their turn as
well: the least of the last few is nearest to its own.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from osqueue.config import (
    HISTORY_STEP_MS,
    OVERVIEW_EVERY_S,
    OVERVIEW_SHARE,
    TELL_SHARE,
    TELL_US,
)

__all__ = ["Pace"]

MEASURED: Final = 8
"""Renewals of which the cheapest counts: two seconds, in which all is not always busy."""

LONGEST_S: Final = HISTORY_STEP_MS / 1_000
"""A reader hears at least of each step, or takes the broker for gone."""


class Pace:
    """The pace of one overview."""

    def __init__(self) -> None:
        self._took_us: deque[int] = deque(maxlen=MEASURED)

    def took(self, cpu_us: int) -> None:
        """What a renewal took, and whatever else was done meanwhile."""
        self._took_us.append(cpu_us)

    def pause_s(self, readers: int) -> float:
        """How long to leave it as it is."""
        renewal_s = min(self._took_us, default=0) / 1e6
        telling_s = TELL_US * readers / 1e6
        paced = max(OVERVIEW_SHARE * renewal_s, TELL_SHARE * telling_s)
        return max(OVERVIEW_EVERY_S, min(paced, LONGEST_S))
