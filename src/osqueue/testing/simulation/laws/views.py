"""What stands in the object, version by version, and what became of each job and each lease."""

from __future__ import annotations

from bisect import bisect_right

import msgspec
from msgspec import Raw

from osqueue.config import DEFAULT_MAX_ATTEMPTS
from osqueue.testing.simulation.laws.descent import Header
from osqueue.testing.simulation.laws.schedules import ScheduleView

__all__ = ["End", "JobLife", "LeaseLife", "StateView", "View"]


class View(msgspec.Struct, frozen=True, rename="camel"):
    """A job as it stands in the object."""

    id: str
    status: str
    type: str = ""
    attempts: int = 0
    max_attempts: int | None = None
    priority: int = 0
    run_at: int | None = None
    lease: str | None = None
    worker_id: str | None = None
    claim_id: str | None = None
    payload_key: str | None = None
    heartbeat: int | None = None
    after: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()

    @property
    def attempts_allowed(self) -> int:
        return DEFAULT_MAX_ATTEMPTS if self.max_attempts is None else max(1, self.max_attempts)

    @property
    def fresh(self) -> bool:
        """Whether it waits to be handed out for the first time."""
        waits = self.run_at is not None or self.waits_for
        return self.status == "unclaimed" and self.attempts == 0 and not waits


class End(msgspec.Struct, frozen=True):
    """How a job ended, and by which lease."""

    status: str
    lease: str | None
    at_us: int


class LeaseLife(msgspec.Struct):
    """When a lease stood in the object."""

    job_id: str
    attempt: int
    since_us: int
    gone_us: int | None = None
    worker_id: str | None = None
    beat_us: int = 0
    """Since when its heartbeat has stood as it is."""
    told: bool = False
    """Whether its holder has heard of it."""
    by_hand: bool = False
    """Whether a person has taken it away: who leads may not know of that for a moment."""


class JobLife(msgspec.Struct):
    """What became of a job: its views by the time since when they stood."""

    since_us: list[int] = []
    views: list[View | None] = []
    number: int = 0
    """Which one it is of all jobs, by when they came; 0 of one that ended in the commit in which it
    came, and so never stood in the object.
    """
    comings: int = 0
    """How often it came by a commit."""
    returned: bool = False
    """Whether it came again, after a person had taken it out."""
    end: End | None = None
    earlier: list[End] = []
    """How it had ended before it was told to live again."""

    @property
    def came_us(self) -> int | None:
        """When it first stood in the object, or had ended there."""
        end_us = None if self.end is None else self.end.at_us
        return self.since_us[0] if self.since_us else end_us

    def may_have_been(self, attempts: int, from_us: int, to_us: int) -> bool:
        """Whether it may have had so many attempts between two changes of one commit of a span: at
        most one more than it had, since a retry begins anew.
        """
        stood = [0 if view is None else view.attempts for view in self.during(from_us, to_us)]
        return attempts <= max(stood) + 1

    def was_free(self, attempts: int, from_us: int, to_us: int) -> bool:
        """Whether it waited to be handed out in a span, after so many attempts."""
        stood = [view for view in self.during(from_us, to_us) if view is not None]
        return any((view.status, view.attempts) == ("unclaimed", attempts) for view in stood)

    def during(self, from_us: int, to_us: int) -> list[View | None]:
        """The views that stood at any moment of a span; ``None`` where it was not there."""
        first = max(0, bisect_right(self.since_us, from_us) - 1)
        last = bisect_right(self.since_us, to_us)
        before: list[View | None] = (
            [None] if not self.since_us or self.since_us[0] > from_us else []
        )
        return before + self.views[first:last]


class StateView(Header, msgspec.Struct, rename="camel"):
    jobs: list[Raw] = []
    finished: list[View] = []
    completed_total: int = 0
    paused: bool = False
    schedules: list[ScheduleView] = []
