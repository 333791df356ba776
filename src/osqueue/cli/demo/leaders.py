"""Who of the demo's brokers leads, as they tell it themselves. Pure.

A leader that comes back from a pause may believe for a moment that it still leads: its epoch is the
older one, so it is not believed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from osqueue.engine.election import Role
from osqueue.wire.messages import BrokerStatus

__all__ = ["Leaders", "Life"]


class Life(NamedTuple):
    """A broker, from a start to its end."""

    name: str
    pid: int

    def __str__(self) -> str:
        return f"{self.name} ({self.pid})"


class Leaders:
    """Notes each change of leader, and counts the commits of all of them."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._heard_ms = 0
        self._resigning: set[Life] = set()
        """Those that have led and do not stand by yet."""
        self._base: int | None = None
        self._commits: dict[int, int] = {}
        self.leader: Life | None = None
        """The last that led."""

    @property
    def commits(self) -> int:
        """Since the first leader was heard, by all; of one that died, until it was last heard."""
        return sum(self._commits.values()) - (self._base or 0)

    def heard(self, life: Life, status: BrokerStatus, mono_ms: int) -> None:
        """A broker has told how it is doing."""
        if status.role == Role.LEADER:
            self._leads(life, status, mono_ms)
        elif status.role == Role.STANDBY and life in self._resigning:
            self._resigning.remove(life)
            self._note(f"{life} stands by now")

    def _leads(self, life: Life, status: BrokerStatus, mono_ms: int) -> None:
        newest = max(self._commits, default=0)
        if status.epoch < newest:
            return
        if status.epoch > newest and self.leader is not None:
            self._note(f"{life} leads now, after {(mono_ms - self._heard_ms) / 1_000:.1f} s")
        if self._base is None:
            self._base = status.commits
        self.leader, self._heard_ms = life, mono_ms
        self._resigning.add(life)
        self._commits[status.epoch] = status.commits
