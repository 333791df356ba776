"""When a process that has ended is started again. Pure."""

from __future__ import annotations

from typing import Final

__all__ = ["Restarts"]

PAUSE_FIRST_S: Final = 0.5
PAUSE_MAX_S: Final = 30.0
"""One that dies at once, again and again, is tried twice a minute."""

STEADY_S: Final = 10
"""One that lived for so long did not die of its start."""


class Restarts:
    """Of one process: growing pauses while it does not live long."""

    def __init__(self) -> None:
        self._deaths = 0

    def pause_s(self, lived_s: float) -> float:
        """How long to wait after an end."""
        self._deaths = 0 if lived_s >= STEADY_S else self._deaths + 1
        if self._deaths == 0:
            return 0.0
        return float(min(PAUSE_MAX_S, PAUSE_FIRST_S * 2 ** min(self._deaths - 1, 10)))
