"""What a process has seen with its own eyes of leases and ends, kept when the state is read anew.

A process that shares its queue reads the state again whenever another has written it. Laws: a
lease that stands there as it stood (same job, token and written heartbeat) keeps the deadline that
this process has been watching it for; one that is new, or has moved, gets a full time-out; an end
that was known before is not younger for being read again. So a foreign lease expires only after
this process itself has watched it stand still for the whole time-out.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from osqueue.model.ends import End, EndMemory
from osqueue.model.job import Job, JobStatus
from osqueue.model.state import QueueState

__all__ = ["Watch"]

_Key: TypeAlias = tuple[str, str | None, str | None]


class _Sight(NamedTuple):
    heartbeat: int | None
    deadline: int
    granted_at: int


class Watch:
    """Look at a state before it is dropped for a new one, and hand this to whoever reads that.

    Leases are remembered by what last stood in memory for them: one that has been ended there, by
    a commit that did not come to pass, is still known when it stands in the object after all.
    """

    def __init__(self, state: QueueState) -> None:
        self._leases: dict[_Key, _Sight] = {}
        self._ends: EndMemory | None = None
        self.look(state)

    def look(self, state: QueueState) -> None:
        """Remember what stands in a state."""
        for job in state.leases:
            self._leases[_key(job)] = _Sight(job.heartbeat, job.deadline, job.granted_at)
        self._ends = state.ends

    def renew(self, state: QueueState) -> None:
        """Remember what stands in a state, and nothing else any more."""
        self._leases = {}
        self.look(state)

    def lease(self, job: Job) -> None:
        """Give a running job, just read, the deadline that it has had here, if it stood still."""
        sight = self._leases.get(_key(job))
        if sight is None:
            return
        job.granted_at = sight.granted_at
        if sight.heartbeat == job.heartbeat:
            job.deadline = sight.deadline

    def finished(self, job: Job) -> None:
        """Give an ended job the time at which its end was first seen here."""
        before = None if self._ends is None else self._ends.finished_job(job.id)
        if before is not None and before.ended_at == job.ended_at:
            job.deadline = before.deadline

    def end(self, end: End) -> None:
        """The same for one without details."""
        before = None if self._ends is None else self._ends.like(end)
        if before is not None:
            end.since = before.since


def _key(job: Job) -> _Key:
    assert job.status is JobStatus.IN_PROGRESS, "only leases are watched"
    return job.id, job.lease, job.worker_id
