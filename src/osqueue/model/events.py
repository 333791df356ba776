"""What has become of jobs, as plain data: recorded by the state while somebody wants to know.

Laws: events stand in the order of the changes, one for each change of a job's status; nothing else
is one, neither a heartbeat nor a delay that ends. Only the progress that a worker tells is, too: of
each lease that goes on the newest, after all others. What is recorded here is true only once the
commit that contains it is durable; until then nobody is told.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import islice
from typing import NamedTuple

import msgspec
from msgspec import Raw

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
    PROGRESS = "progress"
    """Its worker has told how far it is."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One change of one job. ``worker_id`` and ``attempt``: of the attempt that it is about."""

    kind: EventKind
    job_id: str
    type: str
    at: int
    worker_id: str | None
    attempt: int
    progress: Raw | None = None


class Told(NamedTuple):
    """What one commit tells: the counts after it, and its events.

    ``events`` is ``None`` when not all of them are known: it was begun to record in its midst, or
    they are more than are kept.
    """

    counts: Counts
    events: tuple[Event, ...] | None


class EventLog:
    """The events of one commit to be. ``whole``: whether the first of them is here, too."""

    __slots__ = ("_events", "_progress", "_whole")

    def __init__(self, *, whole: bool) -> None:
        self._events: list[Event] = []
        self._progress: dict[str, Event] = {}
        """By job."""
        self._whole = whole

    def add(self, event: Event) -> None:
        """Note what has just happened."""
        if len(self._events) <= COMMIT_EVENTS_MAX:
            self._events.append(event)

    def tell(self, progress: Event) -> None:
        """Note how far a job is, instead of what was told of it before."""
        self._progress[progress.job_id] = progress

    def forget_progress(self, job_id: str) -> None:
        """What was told of a job means nothing any more."""
        self._progress.pop(job_id, None)

    def cut(self) -> tuple[Event, ...] | None:
        """Take them, and begin with the next commit's."""
        known = self._whole and len(self._events) <= COMMIT_EVENTS_MAX
        room = COMMIT_EVENTS_MAX - len(self._events)
        events = (*self._events, *islice(self._progress.values(), room)) if known else None
        self._events, self._progress, self._whole = [], {}, True
        return events
