"""Clocks that go on by themselves, and further when a test says so."""

from __future__ import annotations

from osqueue.clock import SystemClock

__all__ = ["ProducerClock", "TravellingClock"]


class TravellingClock(SystemClock):
    """The clocks of this machine, ahead of it by what was travelled."""

    def __init__(self) -> None:
        self._ahead_ms = 0

    def travel(self, ms: int) -> None:
        """Go on by so much. Time never goes back."""
        assert ms >= 0, "a moment that has been cannot come again"
        self._ahead_ms += ms

    def wall_ms(self) -> int:
        return super().wall_ms() + self._ahead_ms

    def mono_ms(self) -> int:
        return super().mono_ms() + self._ahead_ms


class ProducerClock(SystemClock):
    """The wall clock of another, with a monotonic one that does not travel: what a client measures
    by that are its own calls, which a journey does not make longer.
    """

    def __init__(self, other: TravellingClock) -> None:
        self._other = other

    def wall_ms(self) -> int:
        return self._other.wall_ms()
