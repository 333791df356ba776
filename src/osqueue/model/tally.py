"""What has happened to jobs since somebody last looked: kept by the state, never written down."""

from __future__ import annotations

import msgspec

__all__ = ["Tally"]


class Tally(msgspec.Struct):
    """Of one commit, once that takes it; an operation that did not come to pass is not in it."""

    submitted: int = 0
    completed: int = 0
    failed: int = 0
    """Attempts, also those that ended for want of heartbeats."""
    dead: int = 0
    waited_ms: list[int] = []
    """Of each job that was handed out: for how long it could have been."""
    waiting: int = 0
    """The jobs that wait at the end, ready or delayed."""
