"""What became of each job and each lease, as the versions of the state object tell: the truth that
answers are compared with.
"""

from __future__ import annotations

from collections import Counter
from itertools import takewhile
from typing import TypeAlias

from osqueue.testing.simulation.laws.families import never_to_run
from osqueue.testing.simulation.laws.streams import Commit
from osqueue.testing.simulation.laws.views import JobLife, LeaseLife, View

__all__ = ["History", "Jobs"]

Jobs: TypeAlias = dict[str, View]


class History:
    """Jobs and leases from their first version to the last."""

    def __init__(self) -> None:
        self.jobs: Jobs = {}
        self.lives: dict[str, JobLife] = {}
        self.leases: dict[str, LeaseLife] = {}
        self.completed_us: dict[str, int] = {}
        """When a lease completed its job, by the lease."""
        self.disputed: set[str] = set()
        """Jobs of which something was lost when others had their hands on the object."""
        self.commits: dict[tuple[int, int], Commit] = {}
        """What brokers wrote, by the commit's epoch and number."""
        self._held: Counter[str | None] = Counter()
        """Jobs that are held, by the claim that brought them."""

    def unfinished(self, wall_ms: int) -> list[View]:
        """Jobs that run, or could by that time: see `never_to_run`."""
        idle = never_to_run(self.jobs, wall_ms)
        return [job for job in self.jobs.values() if job.id not in idle]

    def how_ended(self, job_id: str) -> str | None:
        """How a job has ended, if it has."""
        life = self.lives.get(job_id)
        return None if life is None or life.end is None else life.end.status

    def how_over(self, job_id: str) -> str | None:
        """How a job has ended, or that it is dead, if that is so."""
        job = self.jobs.get(job_id)
        return "dead" if job is not None and job.status == "dead" else self.how_ended(job_id)

    def how_surely_over(self, job_id: str) -> str | None:
        """The same, unless others have lost something of it."""
        return None if job_id in self.disputed else self.how_over(job_id)

    def over_us(self, job_id: str) -> int | None:
        """Since when it has ended, or been dead, if it has."""
        life = self.lives.get(job_id)
        if life is None or self.how_over(job_id) is None:
            return None
        if life.end is not None:
            return life.end.at_us
        changes = zip(reversed(life.since_us), reversed(life.views), strict=True)
        return min(at for at, view in takewhile(lambda each: _is_dead(each[1]), changes))

    def removed(self, job_id: str) -> bool:
        """Whether a person has taken a job out: nobody else can without ending it."""
        life = self.lives.get(job_id)
        return life is not None and life.end is None and bool(life.views) and life.views[-1] is None

    def stood(self, job_id: str, at_us: int) -> str | None:
        """How a job was, after the version of that time."""
        life = self.lives.get(job_id)
        if life is None:
            return None
        view = life.during(at_us, at_us)[-1]
        if view is not None:
            return view.status
        return None if life.end is None or life.end.at_us > at_us else life.end.status

    def changed_by(self, job_id: str, epoch: int, number: int) -> bool:
        """Whether a commit changed a job: then it may have had, and lost, a lease within it."""
        commit, life = self.commits.get((epoch, number)), self.lives.get(job_id)
        if commit is None or life is None:
            return False
        at_us = commit.at_us
        return at_us in life.since_us or (life.end is not None and life.end.at_us == at_us)

    def changed_while(self, job_id: str, from_us: int, to_us: int) -> bool:
        """Whether a commit of that time changed a job: then it may have been looked at in between
        two changes of one commit.
        """
        life = self.lives.get(job_id)
        if life is None:
            return False
        at_us = [*life.since_us, *([] if life.end is None else [life.end.at_us])]
        return any(from_us <= each <= to_us for each in at_us)

    def set_back(self, jobs: Jobs, stood_us: int, at_us: int) -> None:
        """Jobs stand at ``at_us`` as they did at ``stood_us``: what came in between is lost. At 0
        nothing has been left of them, and what had ended before has ended.
        """
        lost, self.jobs = self.jobs, jobs
        for job_id in dict.fromkeys([*lost, *jobs]):
            if lost.get(job_id) != jobs.get(job_id):
                self._set_back(job_id, jobs.get(job_id), at_us)
        for job_id, life in self.lives.items():
            if life.end is not None and life.end.at_us > stood_us > 0:
                self.disputed.add(job_id)
                life.end = None
        self._hold_again(at_us)

    def _set_back(self, job_id: str, now: View | None, at_us: int) -> None:
        self.disputed.add(job_id)
        life = self.lives.setdefault(job_id, JobLife())
        life.number = life.number or len(self.lives)
        life.since_us.append(at_us)
        life.views.append(now)

    def _hold_again(self, at_us: int) -> None:
        """Leases are those that stand there now."""
        held = {view.lease: view for view in self.jobs.values() if view.lease is not None}
        for token, lease in self.leases.items():
            if token in held:
                lease.gone_us = None
            elif lease.gone_us is None:
                lease.gone_us = at_us
        self._held = Counter(view.claim_id for view in held.values())


def _is_dead(view: View | None) -> bool:
    return view is not None and view.status == "dead"
