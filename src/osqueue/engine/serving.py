"""A clock that runs only while the broker serves; leases are measured by it.

Time in which the process stood still, or in which the store left a write unresolved, does not
count: a worker that could not be heard must not lose its jobs for it.
"""

from __future__ import annotations

__all__ = ["ServingClock"]


class ServingClock:
    """Monotonic milliseconds less the time lost to pauses and outages."""

    __slots__ = ("_last", "_lost", "_pause_ms_max")

    def __init__(self, mono_ms: int, pause_ms_max: int) -> None:
        self._last = mono_ms
        self._lost = 0
        self._pause_ms_max = pause_ms_max

    def read(self, mono_ms: int, *, due: int | None, unresolved_since: int | None) -> int:
        """The serving time at ``mono_ms``.

        ``due`` is when the machine had asked to be woken, ``unresolved_since`` when the store
        stopped giving clear answers; both since the last reading, by the monotonic clock.
        """
        if unresolved_since is not None:
            self._lost += max(0, mono_ms - max(self._last, unresolved_since))
        elif due is not None and mono_ms - due > self._pause_ms_max:
            self._lost += mono_ms - max(due, self._last)
        self._last = mono_ms
        return mono_ms - self._lost
