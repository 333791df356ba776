"""The state of one queue, and the only code that changes it.

Laws: every job stands in exactly one place (ready, delayed, leased, dead, ended, or waiting for
others); counts are kept, never counted; a status changes only along `TRANSITIONS`; ``revision``
grows with every change that must be durable before it is answered.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
from collections.abc import Set as AbstractSet
from itertools import islice

import msgspec
from msgspec import UNSET, Raw, UnsetType

from osqueue.config import QueueLimits
from osqueue.model import codec, failures
from osqueue.model.ends import End, EndMemory
from osqueue.model.events import Event, EventKind, EventLog
from osqueue.model.family import Family
from osqueue.model.index import DelayedIndex, LeaseIndex, ReadyIndex, one_less
from osqueue.model.job import (
    NO_TERMS,
    Job,
    JobStatus,
    LargePayload,
    Moment,
    Notes,
    Terms,
    after_bytes,
    content_of,
    length_of,
    payload_of,
)
from osqueue.model.lineage import CommitId, recorded
from osqueue.model.ops import Claim, NewJob
from osqueue.model.outcomes import Counts
from osqueue.model.schedules import Schedule, Schedules
from osqueue.model.segments import SegmentedArray
from osqueue.model.tally import Tally
from osqueue.model.transitions import TRANSITIONS, Move
from osqueue.model.waits import NOBODY, Parents, WaitIndex, orphaned

__all__ = ["Header", "QueueState", "new_job_weight", "same_job", "weight_of"]

DEAD_LEAVE_MAX = 2
"""Dead letters that leave the state for each new one."""

JOB_OVERHEAD_BYTES = 256
"""What a job's fields beside payload, type and id count towards the state's bound."""

TERMS_BYTES = 128
"""What a job's terms count, if it has any."""

TERMS_SHARED_MAX = 1_000
"""Different terms that are shared at once: jobs of one type mostly say the same."""


class Header(msgspec.Struct):
    """Who wrote this version, and what came before it."""

    epoch: int | None = None
    commit: str | None = None
    lineage: dict[str, str] = msgspec.field(default_factory=dict)
    broker: str | None = None
    broker_id: str | None = None
    broker_heartbeat: int = 0
    heartbeat_every: int | None = None

    def succeed(self, epoch: int, *, broker: str | None, broker_id: str | None) -> None:
        """Continue another writer's version under a new epoch, remembering where it ended."""
        if self.epoch is not None and self.commit is not None:
            self.lineage = recorded(self.lineage, epoch=self.epoch, commit=self.commit)
        self.epoch, self.broker, self.broker_id = epoch, broker, broker_id

    def share(self, epoch: int, *, writer: str) -> None:
        """Continue a version without leading, under its own epoch or a higher one."""
        before = CommitId.parse(self.commit)
        if before is None or before.writer != writer:
            self.succeed(epoch, broker=None, broker_id=None)
        self.epoch, self.broker, self.broker_id = epoch, None, None
        self.heartbeat_every = None


class QueueState:
    """Jobs, indexes and counters of a queue.

    ``generation`` marks the numbering of jobs: a cursor of another generation means nothing.
    """

    __slots__ = (
        "_terms",
        "awaited",
        "completed_total",
        "counts",
        "dead",
        "dead_total",
        "dead_types",
        "delayed",
        "ends",
        "events",
        "extra",
        "family",
        "freed",
        "generation",
        "header",
        "jobs",
        "leases",
        "limits",
        "order",
        "over",
        "paused",
        "payload_keys",
        "ready",
        "revision",
        "schedules",
        "size",
        "tally",
        "waits",
    )

    def __init__(self, limits: QueueLimits, *, generation: str = "") -> None:
        self.limits = limits
        self.generation = generation
        self.header = Header()
        self.completed_total = 0
        self.dead_total = 0
        self.paused = False
        self.extra: dict[str, Raw] = {}
        self.jobs: dict[str, Job] = {}
        self.order: SegmentedArray[Job] = SegmentedArray(codec.encode_job)
        self.ready = ReadyIndex(self.order.get)
        self.delayed = DelayedIndex()
        self.leases = LeaseIndex(self.order.get)
        self.waits = WaitIndex()
        self.family = Family()
        """The jobs by those that they were submitted to run after, completed or not."""
        self.ends = EndMemory(
            limits, encode_finished=codec.encode_finished, encode_recent=codec.encode_recent
        )
        self.dead: dict[str, Job] = {}
        """Dead letters that may leave for the archive, longest dead first.

        Those whose payload is an object stay: only what the state names is kept from sweepers.
        """
        self.dead_types: dict[str, int] = {}
        """How many dead letters there are of each type, of those that have any."""
        self.schedules = Schedules()
        self.tally = Tally()
        """What has happened since somebody last took this: not written down."""
        self.counts = dict.fromkeys((JobStatus.UNCLAIMED, JobStatus.IN_PROGRESS, JobStatus.DEAD), 0)
        self.payload_keys: dict[str, int] = {}
        """The payload objects that jobs name, and how many: a job may have been copied by hand."""
        self.freed: list[str] = []
        """Those whose jobs ended since somebody last took this: not written down."""
        self.events: EventLog | None = None
        """Where changes of jobs are recorded, while somebody wants to know: not written down."""
        self.awaited: Container[str] = ()
        """The jobs whose end somebody waits for."""
        self.over: list[str] = []
        """Those of them that have ended, or died, since somebody last took this: not written down.
        """
        self.revision = 0
        self.size = 0
        self._terms: dict[Terms, Terms] = {}

    def totals(self) -> Counts:
        """The counts as they stand."""
        return Counts(
            unclaimed=self.counts[JobStatus.UNCLAIMED],
            in_progress=self.counts[JobStatus.IN_PROGRESS],
            dead=self.counts[JobStatus.DEAD],
            delayed=self.delayed.live,
            completed_total=self.completed_total,
            dead_total=self.dead_total,
            broker=self.header.broker,
            paused=self.paused,
            waiting=self.waits.live,
        )

    def knows_any(self, job_ids: AbstractSet[str]) -> bool:
        """Whether any of these is the id of a job, or of one whose end is remembered."""
        return not self.jobs.keys().isdisjoint(job_ids) or self.ends.knows_any(job_ids)

    def submit(
        self, jobs: Iterable[NewJob], weight: int, now: Moment, parents: Parents = NOBODY
    ) -> None:
        """Add jobs whose ids are not taken. ``weight`` is the sum of their `new_job_weight`,
        ``parents`` what they wait for.
        """
        made = [_made(new, now) for new in jobs]
        self._take_in(made, weight)
        free = made if not parents else self._hold_back(made, parents)
        self.ready.extend([job for job in free if job.run_at is None])
        for job in free:
            if job.run_at is not None:
                self.delayed.push(job)
        self.revision += len(made)
        self.tally.submitted += len(made)
        if self.events is not None:
            for job in made:
                self._record(EventKind.SUBMITTED, job, now)

    def admit(self, job: Job, weight: int) -> None:
        """Take in a job as it is, read back."""
        self._take_in([job], weight)
        self._place(job)

    def _take_in(self, jobs: list[Job], weight: int) -> None:
        self.order.extend(jobs)
        self.size += weight
        for job in jobs:
            if job.terms is not NO_TERMS:
                job.terms = self._shared(job.terms)
            self.jobs[job.id] = job
            self.counts[job.status] += 1
            if job.notes is not None:
                self.family.add(job, job.notes.after)
            if job.large is not None:
                self.payload_keys[job.large.key] = self.payload_keys.get(job.large.key, 0) + 1

    def _hold_back(self, jobs: list[Job], parents: Parents) -> list[Job]:
        """Let jobs wait that have to; the others can go."""
        for job in jobs:
            if job.id in parents:
                job.noting().waits_for = dict.fromkeys(parents[job.id])
                self.waits.add(job)
        return [job for job in jobs if job.id not in parents]

    def claim(self, job: Job, request: Claim, lease: str, now: Moment) -> None:
        """Grant a lease on a job just taken from ``ready``."""
        self._move(job, Move.CLAIM)
        job.worker_id = request.worker_id
        job.lease = lease
        job.claim_id = request.claim_id
        job.attempts += 1
        job.heartbeat = now.wall
        job.granted_at = now.serving
        job.deadline = now.serving + self.limits.lease_timeout_ms
        self.tally.waited_ms.append(now.wall - (job.since or job.created_at))
        job.since = now.wall
        self.leases.add(job)
        if self.events is not None:
            self._record(EventKind.CLAIMED, job, now)

    def renew(self, job: Job, now: Moment) -> None:
        """Move a lease's deadline. Rides along with the next commit, and asks for none, unless
        others have to see it in the object: then it is written when the last one is old enough.
        """
        assert (job.status, Move.RENEW) in TRANSITIONS, f"{job.id} is not running"
        job.deadline = now.serving + self.limits.lease_timeout_ms
        least_ms = self.limits.renewal_written_ms
        if least_ms is not None:
            age_ms = now.wall - (job.heartbeat or 0)
            if 0 <= age_ms < least_ms:
                return
            self.revision += 1
        job.heartbeat = now.wall
        self.order.touch(job)

    def note_progress(self, job: Job, told: Raw, now: Moment) -> None:
        """Keep how far a running job is. Rides along with the next commit, and asks for none."""
        self._set_progress(job, told)
        self.order.touch(job)
        if self.events is not None:
            kind, worker_id = EventKind.PROGRESS, job.worker_id
            event = Event(kind, job.id, job.type, now.wall, worker_id, job.attempts, told)
            self.events.tell(event)

    def complete(self, job: Job, now: Moment, *, result: Raw | UnsetType) -> None:
        if self.events is not None:
            self._record(EventKind.COMPLETED, job, now)
        self.leases.remove(job)
        if job.notes is not None:
            self._drop_progress(job)
        if result is not UNSET:
            job.noting().result = result
        self._end(job, Move.COMPLETE, now)
        self.completed_total += 1
        self.tally.completed += 1
        if self.waits.live:
            self._free_children(job, now)

    def _free_children(self, parent: Job, now: Moment) -> None:
        """Let those go that have waited for nothing but a job that is completed now."""
        for child in self.waits.completed(parent.id):
            self.order.touch(child)
            if not child.waits:
                if child.run_at is not None and child.run_at <= now.wall:
                    child.run_at = None
                child.since = now.wall
                self._place(child)

    def requeue(self, job: Job, now: Moment, *, error: Raw, run_at: int | None) -> None:
        """End a lease as failed, with attempts left."""
        self._fail(job, EventKind.RETRYING, now, error=error, run_at=run_at)

    def expire(self, job: Job, now: Moment, *, error: Raw) -> None:
        """The same for want of heartbeats."""
        self._fail(job, EventKind.EXPIRED, now, error=error, run_at=None)

    def bury(self, job: Job, error: Raw, now: Moment) -> None:
        """End a lease as failed for good. Too many dead letters: the oldest leave the state."""
        if self.events is not None:
            self._record(EventKind.DEAD, job, now)
        self._note_error(job, error, now)
        self._end_lease(job, Move.BURY)
        self.dead_total += 1
        self.tally.failed += 1
        self.tally.dead += 1
        self._place(job)
        if job.id in self.awaited:
            self.over.append(job.id)
        for oldest in list(islice(self.dead.values(), self._dead_surplus())):
            self._put_away(oldest, now)

    def release(self, job: Job, now: Moment) -> None:
        """End a lease as if it had not been granted."""
        if self.events is not None:
            self._record(EventKind.RELEASED, job, now)
        self._end_lease(job, Move.RELEASE)
        job.attempts = max(0, job.attempts - 1)
        job.since = now.wall
        self._place(job)

    def revive(self, job: Job, now: Moment) -> None:
        """Queue a dead letter again."""
        self._move(job, Move.REVIVE)
        self._leave_dead(job)
        job.attempts = 0
        job.run_at = None
        job.since = now.wall
        self._place(job)
        if self.events is not None:
            self._record(EventKind.REVIVED, job, now)

    def restore(self, job: Job, now: Moment) -> None:
        """Queue a dead letter again that has left the state. Its id must not be taken."""
        self.ends.forget_dead(job.id)
        job.status = TRANSITIONS[job.status, Move.REVIVE]
        job.attempts = 0
        job.worker_id = job.lease = job.ended_at = job.content = None
        job.stale = True
        job.since = now.wall
        self.admit(job, weight_of(job))
        self.revision += 1
        if self.events is not None:
            self._record(EventKind.REVIVED, job, now)

    def keep_dead(self, job: Job) -> None:
        """Take back a dead letter that was to leave: nothing archives it any more."""
        job.ended_at = job.content = None
        job.stale = True
        self.admit(job, weight_of(job))

    def cancel(self, job: Job, now: Moment) -> None:
        """End a job in whatever state it is, and all jobs that wait for it."""
        status, run_at, waits = job.status, job.run_at, job.waits
        if self.events is not None:
            dead = status is JobStatus.DEAD
            self._record(EventKind.DISCARDED if dead else EventKind.CANCELLED, job, now)
        if status is JobStatus.IN_PROGRESS:
            self.leases.remove(job)
            self._drop_progress(job)
        self._end(job, Move.DISCARD if status is JobStatus.DEAD else Move.CANCEL, now)
        if status is JobStatus.DEAD:
            self._leave_dead(job)
        if waits:
            self.waits.discard(job)
        elif status is JobStatus.UNCLAIMED:
            (self.ready if run_at is None else self.delayed).discard(job)
        if self.waits.live:
            self._cancel_descendants(job, now)

    def _cancel_descendants(self, job: Job, now: Moment) -> None:
        """End what waits for a job that is over and not done, and what waits for that in turn."""
        over = [job]
        for parent in over:
            for child in list(self.waits.of(parent.id)):
                if self.events is not None:
                    self._record(EventKind.CANCELLED, child, now)
                self._note_error(child, orphaned(parent), now)
                self.waits.discard(child)
                self._end(child, Move.CANCEL, now)
                over.append(child)

    def set_priority(self, job: Job, priority: int) -> None:
        """Give a waiting job another priority. It keeps its place in the order of arrival."""
        self._move(job, Move.REORDER)
        job.priority = priority
        if job.run_at is None and not job.waits:
            self.ready.reorder(job)

    def pause(self) -> None:
        """Let claims get nothing."""
        if not self.paused:
            self.paused = True
            self.revision += 1

    def resume(self) -> None:
        """Let claims get jobs again, those first that wait already."""
        if self.paused:
            self.paused = False
            self.revision += 1
            self.ready.wake()

    def put_schedule(self, schedule: Schedule, extra: bytes = b"") -> None:
        """Keep a schedule, in the place of the one of its name."""
        before = self.schedules.size
        self.schedules.put(schedule, extra)
        self.size += self.schedules.size - before
        self.revision += 1

    def drop_schedule(self, name: str) -> None:
        """Forget a schedule, if there is one of this name."""
        before = self.schedules.size
        if self.schedules.drop(name):
            self.size += self.schedules.size - before
            self.revision += 1

    def remember_lease(self, job_id: str, lease: str | None, *, how: str, now: Moment) -> None:
        """Keep how a lease ended whose job lives on."""
        if lease is not None:
            self.ends.add_end(End(job_id, how, now.wall, lease, since=now.serving))

    def promote_due(self, wall_ms: int) -> None:
        """Make jobs ready whose delay has ended. Changes nothing that is written down."""
        while (job := self.delayed.pop_due(wall_ms)) is not None:
            job.since, job.run_at = job.run_at or 0, None
            self.order.touch(job)
            self.ready.push(job)

    def take_freed(self) -> tuple[str, ...]:
        """The payload objects that nothing names any more since the last call."""
        freed, self.freed = tuple(self.freed), []
        return freed

    def take_over(self) -> list[str]:
        """The awaited jobs that have ended, or died, since the last call."""
        over, self.over = self.over, []
        return over

    def await_ends(self, awaited: Collection[str]) -> None:
        """Note from now on which of these jobs end, or die; first of all those that have."""
        self.awaited = awaited
        for job_id in awaited:
            job = self.jobs.get(job_id)
            if job is None or job.status is JobStatus.DEAD:
                self.over.append(job_id)

    def record(self, *, whole: bool) -> None:
        """Record what becomes of jobs from now on. ``whole``: nothing is pending that has changed
        any before.
        """
        self.events = EventLog(whole=whole)

    def stop_recording(self) -> None:
        """Nobody wants to know any more."""
        self.events = None

    def _record(self, kind: EventKind, job: Job, now: Moment) -> None:
        assert self.events is not None, "looked at by the caller: it is called for every change"
        self.events.add(Event(kind, job.id, job.type, now.wall, job.worker_id, job.attempts))

    def _place(self, job: Job) -> None:
        if job.waits:
            self.waits.add(job)
        elif job.status is JobStatus.UNCLAIMED:
            (self.ready if job.run_at is None else self.delayed).push(job)
        elif job.status is JobStatus.IN_PROGRESS:
            self.leases.add(job)
        else:
            self.dead_types[job.type] = self.dead_types.get(job.type, 0) + 1
            if job.large is None:
                self.dead[job.id] = job

    def _leave_dead(self, job: Job) -> None:
        one_less(self.dead_types, job.type)
        self.dead.pop(job.id, None)

    def _dead_surplus(self) -> int:
        """How many dead letters should leave; a few at a time, should the bound be lowered."""
        if not self.limits.archived:
            return 0
        return min(DEAD_LEAVE_MAX, max(0, len(self.dead) - self.limits.dead_max))

    def _put_away(self, job: Job, now: Moment) -> None:
        """Let a dead letter leave for the archive, with its payload."""
        payload = payload_of(job)
        self._leave_dead(job)
        self.counts[JobStatus.DEAD] -= 1
        self._take_out(job, payload, now)
        job.payload, job.encoded, job.stale = payload, b"", True
        self.ends.add_job(job)

    def _take_out(self, job: Job, payload: Raw | UnsetType, now: Moment) -> None:
        self.order.remove(job)
        del self.jobs[job.id]
        if job.notes is not None:
            self.family.discard(job, job.notes.after)
        self.size -= _weight(job, payload)
        job.content = content_of(job.type, payload, job.large)
        job.ended_at, job.deadline = now.wall, now.serving

    def _move(self, job: Job, move: Move) -> None:
        target = TRANSITIONS[job.status, move]
        self.counts[job.status] -= 1
        job.status = target
        if target in self.counts:
            self.counts[target] += 1
        self.order.touch(job)
        self.revision += 1

    def _drop_progress(self, job: Job) -> None:
        """It was of the lease that ends."""
        if job.notes is not None and job.notes.progress is not None:
            self._set_progress(job, None)
            if self.events is not None:
                self.events.forget_progress(job.id)

    def _set_progress(self, job: Job, told: Raw | None) -> None:
        notes = job.noting()
        self.size += _length_or_0(told) - _length_or_0(notes.progress)
        notes.progress = told

    def _end_lease(self, job: Job, move: Move) -> None:
        self.leases.remove(job)
        if job.notes is not None:
            self._drop_progress(job)
        self._move(job, move)
        job.worker_id = job.heartbeat = job.lease = job.claim_id = None

    def _fail(
        self, job: Job, kind: EventKind, now: Moment, *, error: Raw, run_at: int | None
    ) -> None:
        if self.events is not None:
            self._record(kind, job, now)
        self._note_error(job, error, now)
        self._end_lease(job, Move.REQUEUE)
        self.tally.failed += 1
        job.run_at, job.since = run_at, now.wall
        self._place(job)

    def _end(self, job: Job, move: Move, now: Moment) -> None:
        self._move(job, move)
        self._take_out(job, payload_of(job), now)
        self._free(job)
        job.run_at = None
        job.payload, job.encoded = UNSET, b""
        self.ends.add_job(job)
        if job.id in self.awaited:
            self.over.append(job.id)

    def _free(self, job: Job) -> None:
        if job.large is None:
            return
        key, job.large = job.large.key, None
        self.payload_keys[key] -= 1
        if self.payload_keys[key] == 0:
            del self.payload_keys[key]
            self.freed.append(key)

    def _note_error(self, job: Job, error: Raw, now: Moment) -> None:
        """Of the attempt that ends: its worker must still be known."""
        before = length_of(job.last_error) + len(job.earlier)
        if not isinstance(job.last_error, UnsetType):
            job.noting().earlier = failures.with_one_more(job.earlier, job.last_error)
        job.last_error = failures.noted(
            error, at=now.wall, attempt=job.attempts, worker_id=job.worker_id
        )
        self.size += length_of(job.last_error) + len(job.earlier) - before

    def _shared(self, terms: Terms) -> Terms:
        """The one object of all who say the same."""
        if len(self._terms) >= TERMS_SHARED_MAX:
            self._terms.clear()  # who shares one already keeps it
        return self._terms.setdefault(terms, terms)


def _made(new: NewJob, now: Moment) -> Job:
    run_at = new.run_at if new.run_at is not None and new.run_at > now.wall else None
    return Job(
        new.id,
        new.type,
        now.wall,
        new.payload,
        JobStatus.UNCLAIMED,
        new.priority,
        run_at,
        0,
        new.max_attempts,
        terms=new.terms,
        large=new.large,
        traceparent=new.traceparent,
        notes=Notes(after=new.after) if new.after else None,
    )


def weight_of(job: Job) -> int:
    """Bytes that a job counts towards the state's bound; not kept, to save 40 bytes a job."""
    return _weight(job, payload_of(job))


def _weight(job: Job, payload: Raw | UnsetType) -> int:
    texts = length_of(payload) + length_of(job.last_error) + _key_length(job.large)
    if job.traceparent is not None:
        texts += len(job.traceparent)
    if job.terms is not NO_TERMS:
        texts += TERMS_BYTES
    if job.notes is not None:
        texts += len(job.notes.earlier) + _length_or_0(job.notes.progress)
        texts += 2 * after_bytes(job.notes.after)  # at most: what it waits for is written as well
    return JOB_OVERHEAD_BYTES + len(job.id) + len(job.type) + texts


def _length_or_0(text: Raw | None) -> int:
    return 0 if text is None else len(memoryview(text))


def _key_length(large: LargePayload | None) -> int:
    return 0 if large is None else len(large.key)


def new_job_weight(new: NewJob) -> int:
    """Bytes that a job to be will count towards the state's bound."""
    texts = length_of(new.payload) if new.large is None else len(new.large.key)
    if new.traceparent is not None:
        texts += len(new.traceparent)
    if new.terms is not NO_TERMS:
        texts += TERMS_BYTES
    if new.after:
        texts += 2 * after_bytes(new.after)
    return JOB_OVERHEAD_BYTES + len(new.id) + len(new.type) + texts


def same_job(job: Job, new: NewJob) -> bool:
    """Whether a submitted job is the one that its id already names."""
    payload = payload_of(job)
    if job.type != new.type:
        return False
    if job.large is not None or new.large is not None:
        return _outline(payload, job) == _outline(new.payload, new)
    if payload is UNSET or new.payload is UNSET:
        return payload is new.payload
    return memoryview(payload) == memoryview(new.payload)


def _outline(payload: Raw | UnsetType, job: Job | NewJob) -> tuple[int, int]:
    """Size and checksum: what can be compared without the object."""
    size = length_of(payload) if job.large is None else job.large.size
    return size, content_of(job.type, payload, job.large)
