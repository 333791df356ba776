"""What is remembered of jobs and leases that ended, so that a repeated request takes effect once.

An ended job stands in ``finished`` with its details, then in ``recent`` as id, lease, how,
when, and a checksum of what it was. With an archive, it stays in ``finished`` until a sealed batch
has taken it there: `seal` fixes which jobs in which order, `drop` lets go of exactly those.
A lease that ended while its job lives on (failed, released) goes into ``recent`` at once. Entries
of ``recent`` older than the window, or beyond its length, are dropped, oldest first.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from itertools import islice

import msgspec
from msgspec import UNSET

from osqueue.config import QueueLimits
from osqueue.model.batches import Outbox, batch_key
from osqueue.model.family import Family
from osqueue.model.job import (
    END_STATUSES,
    Job,
    JobStatus,
    after_bytes,
    length_of,
    payload_of,
)
from osqueue.model.segments import SegmentedArray

__all__ = ["End", "EndMemory", "weight"]

FINISHED_OVERHEAD_BYTES = 256
"""What the fields of an ended job beside its texts count."""


_LEFT = END_STATUSES | {JobStatus.DEAD}
"""How a job can have left the queue: dead letters do when there are too many."""


class End(msgspec.Struct, gc=False, eq=False):
    """The end of a job or of a lease."""

    id: str
    how: str
    """An end status of a job; ``failed`` or ``released`` for a lease whose job lives on."""
    at: int
    lease: str | None = None
    content: int | None = None
    """Checksum of an ended job's type and payload."""
    since: int = 0
    """When it was first known to have ended, in serving time."""
    seq: int = -1
    encoded: bytes = b""
    stale: bool = True


class EndMemory:
    """``finished`` and ``recent``, found by job id and by lease."""

    __slots__ = (
        "_by_id",
        "_by_lease",
        "_finished_by_id",
        "_limits",
        "family",
        "finished",
        "finished_bytes",
        "outbox",
        "recent",
    )

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
        self.finished_bytes = 0
        """About what ``finished`` takes in the state."""
        self.outbox: Outbox | None = None
        self.family = Family()
        """The jobs in ``finished`` by those that they were submitted to run after."""
        self._finished_by_id: dict[str, Job] = {}
        self._by_id: dict[str, End] = {}
        self._by_lease: dict[str, End] = {}

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._finished_by_id or job_id in self._by_id

    def knows_any(self, job_ids: AbstractSet[str]) -> bool:
        """Whether the end of any of these is remembered."""
        ended, recent = self._finished_by_id.keys(), self._by_id.keys()
        return not (ended.isdisjoint(job_ids) and recent.isdisjoint(job_ids))

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

    def like(self, end: End) -> End | None:
        """The same end, if it is remembered; it may stand in ``finished`` as yet."""
        found = self._by_id.get(end.id) if end.lease is None else self._by_lease.get(end.lease)
        if found is None and (job := self._finished_by_id.get(end.id)) is not None:
            found = End(job.id, job.status.value, job.ended_at or 0, job.lease, since=job.deadline)
        if found is None or (found.id, found.how, found.at) != (end.id, end.how, end.at):
            return None
        return found

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
        self.finished_bytes += weight(job)
        self._finished_by_id[job.id] = job
        self.family.add(job, job.after)
        if not self._limits.archived:
            self._make_room()

    def sealed(self, job_id: str) -> bool:
        """Whether a job is part of the open outbox."""
        return self.outbox is not None and job_id in self.outbox.ids

    def forget_dead(self, job_id: str) -> None:
        """A dead letter lives again: its end is no more."""
        job = self._finished_by_id.pop(job_id, None)
        if job is not None:
            self.finished.remove(job)
            self.finished_bytes -= weight(job)
            self.family.discard(job, job.after)
        self._by_id.pop(job_id, None)

    def batch(self) -> list[Job]:
        """The jobs of the open outbox, in its order."""
        ids = () if self.outbox is None else self.outbox.ids
        found = map(self._finished_by_id.get, ids)
        return [job for job in found if job is not None]

    def seal(self, token: str, wall_ms: int, *, jobs_max: int, bytes_max: int) -> Outbox | None:
        """Fix the next batch: the oldest finished jobs, at least one; ``None`` if there is none."""
        assert self.outbox is None, "one batch at a time"
        ids: list[str] = []
        size = 0
        for job in islice(self.finished, jobs_max):
            size += weight(job)
            if ids and size > bytes_max:
                break
            ids.append(job.id)
        if ids:
            self.outbox = Outbox(batch_key(ids, wall_ms, token), tuple(ids))
        return self.outbox

    def drop(self) -> None:
        """Let go of the details of the batch's jobs: they are in the archive."""
        batch = self.batch()
        self.outbox = None
        for job in batch:
            self._retire(job)
        if not self._limits.archived:
            self._make_room()

    def add_end(self, end: End) -> None:
        """Remember an end without details."""
        self.recent.append(end)
        if end.how in _LEFT:
            self._by_id[end.id] = end
        if end.lease is not None:
            self._by_lease[end.lease] = end
        if len(self.recent) > self._limits.dedupe_max:
            self._forget_oldest()

    def trim(self, serving_ms: int) -> None:
        """Drop what is older than the window, which no wall clock shortens."""
        oldest_kept = serving_ms - self._limits.dedupe_window_ms
        while (end := self.recent.oldest()) is not None and end.since < oldest_kept:
            self._forget_oldest()

    def _make_room(self) -> None:
        """Without an archive, let the oldest go when they are too many, or too large: the newest
        stays in any case, and so does what an open outbox names.
        """
        limits = self._limits
        while self.outbox is None and (
            len(self.finished) > limits.finished_max
            or (self.finished_bytes > limits.finished_bytes_max and len(self.finished) > 1)
        ):
            oldest = self.finished.oldest()
            assert oldest is not None, "there are more than none"
            self._retire(oldest)

    def _retire(self, job: Job) -> None:
        self.finished.remove(job)
        self.finished_bytes -= weight(job)
        del self._finished_by_id[job.id]
        self.family.discard(job, job.after)
        assert job.ended_at is not None, "finished jobs have ended"
        how = job.status.value
        self.add_end(End(job.id, how, job.ended_at, job.lease, job.content, job.deadline))

    def _forget_oldest(self) -> None:
        end = self.recent.oldest()
        assert end is not None, "only called while something is remembered"
        self.recent.remove(end)
        if self._by_id.get(end.id) is end:
            del self._by_id[end.id]
        if end.lease is not None and self._by_lease.get(end.lease) is end:
            del self._by_lease[end.lease]


def weight(job: Job) -> int:
    """About what an ended job takes in ``finished``."""
    size = FINISHED_OVERHEAD_BYTES + len(job.id) + len(job.type)
    for text in (job.last_error, payload_of(job) if job.status is JobStatus.DEAD else UNSET):
        size += length_of(text)
    if job.notes is not None:
        size += len(job.notes.earlier) + length_of(job.notes.result)
        size += after_bytes(job.notes.after)
    return size
