"""A writer's heartbeats: every commit is one, and when nothing else is to be written, one is due.

A leader that nobody watches slows down, and says so in the object before it does: a standby waits
for longer than a leader has promised to be silent. How often and how long ago it has written is
kept here, too.
"""

from __future__ import annotations

from collections import deque

from osqueue.config import LeadershipSettings

__all__ = ["Pulse"]

RATE_MS = 10_000
"""The time over which commits are counted."""

RATE_COMMITS = 256
"""Most commits that are counted: as many in less time tell the rate as well."""

WATCHED_TIMEOUTS = 3
"""For how many time-outs a standby that asked is taken to be there still."""


class Pulse:
    """Heartbeats of one writer, from the taking of its place on."""

    def __init__(self, settings: LeadershipSettings, mono_ms: int) -> None:
        self._settings = settings
        self._watched_until = mono_ms + settings.young_timeouts * settings.heartbeat_timeout_ms
        self._landed_at: deque[int] = deque(maxlen=RATE_COMMITS)
        self._landed_began: int | None = None
        self.every_ms = settings.heartbeat_interval_ms
        """Within what time the last commit says that the next will follow."""

    def watch(self, mono_ms: int) -> None:
        """A standby has asked who leads: heartbeats are due at their interval for a while."""
        timeout_ms = self._settings.heartbeat_timeout_ms
        self._watched_until = mono_ms + WATCHED_TIMEOUTS * timeout_ms

    def promise(self, mono_ms: int) -> int:
        """Within what time the commit that begins now is to say that the next will follow."""
        self.every_ms = self._every(mono_ms)
        return self.every_ms

    def due_at(self, began_ms: int) -> int:
        """When the next heartbeat is due, after a commit that began then."""
        return began_ms + min(self.every_ms, self._every(began_ms))

    def landed(self, began_ms: int, mono_ms: int) -> None:
        """A commit is durable."""
        self._landed_began = began_ms
        self._landed_at.append(mono_ms)

    def age_ms(self, mono_ms: int) -> int | None:
        """How long ago the last durable commit was begun; ``None`` before the first."""
        return None if self._landed_began is None else mono_ms - self._landed_began

    def commits_per_s(self, mono_ms: int) -> float:
        """How many commits became durable in a second, of late."""
        since = mono_ms - RATE_MS
        if len(self._landed_at) == RATE_COMMITS:
            since = max(since, self._landed_at[0])
        landed = sum(at > since for at in self._landed_at)
        return landed * 1_000 / max(1, mono_ms - since)

    def _every(self, mono_ms: int) -> int:
        settings = self._settings
        idle_ms = max(settings.idle_interval_ms, settings.heartbeat_interval_ms)
        return settings.heartbeat_interval_ms if mono_ms < self._watched_until else idle_ms
