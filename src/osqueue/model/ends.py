"""What is remembered of jobs and leases that ended, so that a repeated request takes effect once.

An ended job stands in ``finished`` with its details, then in ``recent`` as id, lease, how,
when, and a checksum of what it was.
A lease that ended while its job lives on (failed, released) goes into ``recent`` at once. Entries
of ``recent`` older than the window, or beyond its length, are dropped, oldest first.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from osqueue.config import QueueLimits
from osqueue.model.job import END_STATUSES, Job
from osqueue.model.segments import SegmentedArray

__all__ = ["End", "EndMemory"]


class End(msgspec.Struct, gc=False, eq=False):
    """The end of a job or of a lease."""

    id: str
    how: str
    """An end status of a job; ``failed`` or ``released`` for a lease whose job lives on."""
    at: int
    lease: str | None = None
    content: int | None = None
    """Checksum of an ended job's type and payload."""
    seq: int = -1
    encoded: bytes = b""
    stale: bool = True


class EndMemory:
    """``finished`` and ``recent``, found by job id and by lease."""

    __slots__ = ("_by_id", "_by_lease", "_finished_by_id", "_limits", "finished", "recent")

    def __init__(
        self,
        limits: QueueLimits,
        *,
        encode_finished: Callable[[Job], bytes],
        encode_recent: Callable[[End], bytes],
    ) -> None:
        self._limits = limits
        self.finished: SegmentedArray[Job] = SegmentedArray(encode_finished)
        self.recent: SegmentedArray[End] = SegmentedArray(encode_recent)
        self._finished_by_id: dict[str, Job] = {}
        self._by_id: dict[str, End] = {}
        self._by_lease: dict[str, End] = {}

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._finished_by_id or job_id in self._by_id

    def finished_job(self, job_id: str) -> Job | None:
        """An ended job, while its details are kept."""
        return self._finished_by_id.get(job_id)

    def how_job_ended(self, job_id: str) -> str | None:
        """The end status of a job, while it is remembered."""
        job = self._finished_by_id.get(job_id)
        if job is not None:
            return job.status
        end = self._by_id.get(job_id)
        return None if end is None else end.how

    def end_of_job(self, job_id: str) -> End | None:
        """The end of a job whose details are gone."""
        return self._by_id.get(job_id)

    def content_of(self, job_id: str) -> int | None:
        """Checksum of an ended job's type and payload, if it is known."""
        job = self._finished_by_id.get(job_id)
        return self._by_id[job_id].content if job is None else job.content

    def how_lease_ended(self, job_id: str, lease: str) -> str | None:
        """How a lease ended, while it is remembered."""
        job = self._finished_by_id.get(job_id)
        if job is not None and job.lease == lease:
            return job.status
        end = self._by_lease.get(lease)
        return end.how if end is not None and end.id == job_id else None

    def add_job(self, job: Job) -> None:
        """Remember an ended job; its status, lease and ``ended_at`` are set."""
        self.finished.append(job)
        self._finished_by_id[job.id] = job
        while len(self.finished) > self._limits.finished_max:
            self._retire()

    def add_end(self, end: End) -> None:
        """Remember an end without details."""
        self.recent.append(end)
        if end.how in END_STATUSES:
            self._by_id[end.id] = end
        if end.lease is not None:
            self._by_lease[end.lease] = end
        if len(self.recent) > self._limits.dedupe_max:
            self._forget_oldest()

    def trim(self, wall_ms: int) -> None:
        """Drop what is older than the window."""
        oldest_kept = wall_ms - self._limits.dedupe_window_ms
        while (end := self.recent.oldest()) is not None and end.at < oldest_kept:
            self._forget_oldest()

    def _retire(self) -> None:
        job = self.finished.oldest()
        assert job is not None, "only called while there are finished jobs"
        self.finished.remove(job)
        del self._finished_by_id[job.id]
        assert job.ended_at is not None, "finished jobs have ended"
        self.add_end(End(job.id, job.status.value, job.ended_at, job.lease, job.content))

    def _forget_oldest(self) -> None:
        end = self.recent.oldest()
        assert end is not None, "only called while something is remembered"
        self.recent.remove(end)
        if self._by_id.get(end.id) is end:
            del self._by_id[end.id]
        if end.lease is not None and self._by_lease.get(end.lease) is end:
            del self._by_lease[end.lease]
