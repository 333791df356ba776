"""An observer who knows of a queue only what it is told, and is compared with what is stored."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from osqueue.engine.requests import Publish
from osqueue.model.events import EventKind
from osqueue.model.outcomes import Counts

__all__ = ["Follower", "Replay"]

UNCLAIMED, RUNNING, DEAD, AWAY = "unclaimed", "in_progress", "dead", "away"
"""``AWAY``: dead, and not in the state any more."""

STEPS = {
    (None, EventKind.SUBMITTED): UNCLAIMED,
    (AWAY, EventKind.SUBMITTED): UNCLAIMED,
    (UNCLAIMED, EventKind.CLAIMED): RUNNING,
    (UNCLAIMED, EventKind.CANCELLED): None,
    (RUNNING, EventKind.COMPLETED): None,
    (RUNNING, EventKind.RETRYING): UNCLAIMED,
    (RUNNING, EventKind.EXPIRED): UNCLAIMED,
    (RUNNING, EventKind.RELEASED): UNCLAIMED,
    (RUNNING, EventKind.DEAD): DEAD,
    (RUNNING, EventKind.CANCELLED): None,
    (RUNNING, EventKind.PROGRESS): RUNNING,
    (DEAD, EventKind.REVIVED): UNCLAIMED,
    (AWAY, EventKind.REVIVED): UNCLAIMED,
    (None, EventKind.REVIVED): UNCLAIMED,
    (DEAD, EventKind.DISCARDED): None,
}
"""Every step of a job that can be told. ``None``: not there; a dead letter may have left the state
before the observer came."""


class Replay:
    """What events make of jobs. ``statuses``: of all that are there."""

    def __init__(self, statuses: dict[str, str]) -> None:
        self.statuses = statuses
        self.completed = 0

    def step(self, kind: EventKind, job_id: str) -> None:
        """One event; it must be a step that its job can take."""
        before = self.statuses.pop(job_id, None)
        assert (before, kind) in STEPS, f"{job_id}: {kind} while it is {before}"
        after = STEPS[before, kind]
        if after is not None:
            self.statuses[job_id] = after
        self.completed += kind is EventKind.COMPLETED

    def expect(self, there: dict[str, str]) -> None:
        """It has come to what there is; dead letters may leave without a word."""
        for job_id, status in self.statuses.items():
            if status == DEAD and job_id not in there:
                self.statuses[job_id] = AWAY
        known = {job_id: each for job_id, each in self.statuses.items() if each != AWAY}
        assert known == there, "what was told is not what there is"


class Follower:
    """Replays what one leader tells."""

    def __init__(self) -> None:
        self.replay: Replay | None = None

    def told(self, publish: Publish, stored: bytes | None) -> None:
        """One commit is told. ``stored``: the object as that has left it, if it stands there."""
        events = publish.told.events
        if self.replay is None:
            if stored is not None:
                self._begin(stored)
            return
        assert events is not None, "the events of a commit were left out"
        for event in events:
            self.replay.step(event.kind, event.job_id)
        if stored is not None:
            self._compare(self.replay, publish.told.counts, json.loads(stored))

    def _begin(self, stored: bytes) -> None:
        whole = json.loads(stored)
        self.replay = Replay({job["id"]: job["status"] for job in whole["jobs"]})
        self.replay.completed = whole["completedTotal"]

    def _compare(self, replay: Replay, counts: Counts, whole: Any) -> None:
        there = {job["id"]: job["status"] for job in whole["jobs"]}
        replay.expect(there)
        number = Counter(there.values())
        assert counts.unclaimed == number[UNCLAIMED]
        assert counts.in_progress == number[RUNNING]
        assert counts.dead == number[DEAD]
        assert counts.completed_total == whole["completedTotal"] == replay.completed
