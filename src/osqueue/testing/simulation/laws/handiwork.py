"""The laws of what people change in the state object by hand.

- A person's version differs from the one before in the jobs that he changed, as he changed them,
  and in nothing else: it makes no commit, and ends no job.
- What he took away comes back only by a submit of its own, however the commit fared that was under
  way. A message has its effect once: so a job stands there at most as often as it was submitted.
- What he set is not set back by the next commit, unless somebody asked for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from osqueue.testing.simulation.laws.deeds import Deed, Deeds
from osqueue.testing.simulation.laws.law import expect
from osqueue.testing.simulation.laws.requests import Requests
from osqueue.testing.simulation.laws.views import JobLife, StateView, View

__all__ = ["Handiwork"]

_TURNS: Final[Mapping[tuple[str, str], Deed]] = MappingProxyType(
    {("dead", "unclaimed"): Deed.REVIVED, ("in_progress", "unclaimed"): Deed.GIVEN_BACK}
)
"""How a job was and is, when a person has done that to it."""


class Handiwork:
    """Compares versions with what was done by hand."""

    def __init__(self, deeds: Deeds, requests: Requests) -> None:
        self._deeds = deeds
        self._requests = requests
        self._before: dict[str, View] = {}
        """How jobs stood before a person's version, if that was the last one."""

    def added(self, job_id: str, at_us: int) -> bool:
        """Whether a person put a job there in that moment."""
        return self._deeds.did(Deed.ADDED, job_id, at_us)

    def given_back(self, job_id: str) -> int:
        """How many attempts a job may have beyond those allowed: a person gave it back, and left
        their number as it was.
        """
        return self._deeds.times(Deed.GIVEN_BACK, job_id)

    def expect_done(self, before: Mapping[str, View], jobs: Mapping[str, View], at_us: int) -> None:
        """Raise `BrokenLawError` unless all that differs in a person's version was his deed."""
        for view in jobs.values():
            earlier = before.get(view.id)
            if earlier is None:
                expect(self.added(view.id, at_us), "a person added job %s", view.id)
            elif view != earlier:
                deed = _TURNS.get((earlier.status, view.status), Deed.EDITED)
                did = self._deeds.did(deed, view.id, at_us)
                expect(did, "a person changed job %s: %s, %s", view.id, earlier, view)
                self._before.setdefault(view.id, earlier)
        for job_id in before:
            gone = job_id not in jobs
            removed = gone and self._deeds.did(Deed.REMOVED, job_id, at_us)
            expect(removed or not gone, "a person removed job %s", job_id)

    def expect_nothing_else(self, before: StateView, now: StateView) -> None:
        """Beside jobs a person's version is as the one before."""
        both = [
            (each.commit, each.broker, each.finished, each.completed_total, each.paused)
            for each in (before, now)
        ]
        same = both[0] == both[1] and before.schedules == now.schedules
        expect(same, "a person changes jobs, and nothing else: %s, %s", *both)

    def forget(self) -> None:
        """What a person changed last is not what the next version builds upon."""
        self._before = {}

    def expect_kept(self, left: Mapping[str, View], now: Mapping[str, View]) -> None:
        """A commit has set back nothing that people changed since the last, and ``left`` so."""
        before, self._before = self._before, {}
        for job_id, view in before.items():
            was = left.get(job_id)
            asked = was is not None and replace(view, priority=was.priority) == was
            asked = asked and self._requests.priorities[job_id] > 0
            undone = now.get(job_id) == view != was and not asked
            expect(not undone, "what a person changed of job %s was undone", job_id)

    def came(self, life: JobLife, job_id: str, at_us: int) -> None:
        """A job stands there, or has ended, that did not stand there before."""
        if self.added(job_id, at_us):
            return
        life.comings += 1
        life.returned = bool(life.views)
        submits = self._requests.messages(job_id)
        expect(
            not life.returned or life.comings <= submits,
            "job %s was taken out by a person, and comes back: %s submits",
            job_id,
            submits,
        )
