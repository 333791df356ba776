"""When a commit may begin, and how long to wait after one that others were faster than."""

from __future__ import annotations

from collections.abc import Callable

from osqueue.config import CommitSettings

__all__ = ["NEVER", "Pacing"]

RACES_COUNTED = 4
"""Lost races after which the pause grows no further: up to 16 times as long as a write takes."""

RACE_MS_MAX = 1_000
"""Longest pause after a lost race: with some tens of rivals, a longer one is no gain."""

OTHERS_MS = 60_000
"""Others are taken to be at work for as long after one of their versions was found."""

YIELD_SHARE = 4
"""How many times as long as its last write took a writer leaves the object to others, at most: a
read and a write of theirs fit in."""

YIELD_MS_MAX = 1_000
"""Longest that is: a write that the store left unanswered tells nothing of how long theirs take."""

NEVER = -(2**62)


class Pacing:
    """The pace of one writer's commits; all times are monotonic ms."""

    def __init__(self, settings: CommitSettings, jitter: Callable[[], float]) -> None:
        self._settings = settings
        self._jitter = jitter
        self._encode_us = 0
        self._yield_until = self._held_back_until = 0
        self._met_at = NEVER
        self._races = 0
        """How many times in a row others were faster."""
        self.began = self.arrived = NEVER
        """When the last commit began, and the last request came in."""

    def begins(self, mono_ms: int) -> None:
        """A commit begins."""
        self.began, self._held_back_until = mono_ms, 0

    def encode_took(self, cpu_us: int) -> None:
        """What the encoding of the last commit cost."""
        self._encode_us = cpu_us

    def hold_back(self, until_ms: int) -> None:
        """The store had better not be written before this."""
        self._held_back_until = until_ms

    def not_before(self, *, due_at: int) -> int:
        """When the next commit may begin: at a fair share of time for encoding, or in a lull,
        and not before the store is ready for it, if that is in time for what is due.
        """
        settings = self._settings
        paced = self.began + settings.encode_share * self._encode_us // 1_000
        lull = max(self.began + 2 * self._encode_us // 1_000, self.arrived + settings.lull_ms)
        ready = min(self._held_back_until, due_at)
        return max(self.began + settings.interval_ms, min(paced, lull), ready, self._yield_until)

    # Beside other writers

    def met(self, mono_ms: int) -> None:
        """Another writer's version was found."""
        self._met_at = mono_ms

    def lost_race(self) -> None:
        """Another writer was faster than our commit."""
        self._races += 1

    def landed(self, took_ms: int, mono_ms: int) -> None:
        """A commit is durable. When others are at work on the object, it is left to them for a
        while: one that commits again at once would never let them read and write in between.
        """
        self._races = 0
        if mono_ms - self._met_at < OTHERS_MS:
            longest = min(YIELD_SHARE * took_ms, YIELD_MS_MAX)
            self._yield_until = mono_ms + 1 + int(longest * self._jitter())

    def race_pause_ms(self, took_ms: int) -> int:
        """How long after a conflict the object is read: after several lost races a while later,
        so that what is read is still there when the next write arrives.
        """
        if self._races == 0:
            return 0
        longest = min(max(1, took_ms) << min(self._races, RACES_COUNTED), RACE_MS_MAX)
        return int(longest * self._jitter())
