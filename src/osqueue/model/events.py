"""What has become of jobs, as plain data: recorded by the state while somebody wants to know.

Laws: events stand in the order of the changes, one for each change of a job's status; nothing else
is one, neither a heartbeat nor a delay that ends. What is recorded here is true only once the
commit that contains it is durable; until then nobody is told.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

from osqueue.config import COMMIT_EVENTS_MAX
from osqueue.model.outcomes import Counts

__all__ = ["Event", "EventKind", "EventLog", "Told"]


class EventKind(StrEnum):
    """What can become of a job."""

    SUBMITTED = "submitted"
    CLAIMED = "claimed"
    COMPLETED = "completed"
    RETRYING = "retrying"
    """An attempt failed, and there are more."""
    EXPIRED = "expired"
    """The same, for want of heartbeats."""
    DEAD = "dead"
    RELEASED = "released"
    CANCELLED = "cancelled"
    DISCARDED = "discarded"
    REVIVED = "revived"


class Event(msgspec.Struct, frozen=True, gc=False):
    """One change of one job. ``worker_id`` and ``attempt``: of the attempt that it is about."""

    kind: EventKind
    job_id: str
    type: str
    at: int
    worker_id: str | None
    attempt: int


class Told(NamedTuple):
    """What one commit tells: the counts after it, and its events.

    ``events`` is ``None`` when not all of them are known: it was begun to record in its midst, or
    they are more than are kept.
    """

    counts: Counts
    events: tuple[Event, ...] | None


class EventLog:
    """The events of one commit to be. ``whole``: whether the first of them is here, too."""

    __slots__ = ("_events", "_whole")

    def __init__(self, *, whole: bool) -> None:
        self._events: list[Event] = []
        self._whole = whole

    def add(self, event: Event) -> None:
        """Note what has just happened."""
        if len(self._events) <= COMMIT_EVENTS_MAX:
            self._events.append(event)

    def cut(self) -> tuple[Event, ...] | None:
        """Take them, and begin with the next commit's."""
        known = self._whole and len(self._events) <= COMMIT_EVENTS_MAX
        events = tuple(self._events) if known else None
        self._events, self._whole = [], True
        return events
