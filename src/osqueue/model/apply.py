"""`apply`: what each operation does to a queue.

An operation that is not legal gets a typed refusal and leaves the state as it was. Handlers first
look, then change; so an operation is all or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import msgspec
from msgspec import UNSET, Raw, UnsetType

from osqueue.model import retries
from osqueue.model.caps import Caps
from osqueue.model.codec import decode_finished, encode_finished
from osqueue.model.job import PAYLOADS, Job, JobStatus, Moment, content_of, length_of, payload_of
from osqueue.model.looks import look
from osqueue.model.ops import (
    Act,
    Cancel,
    Claim,
    Complete,
    Drop,
    DropSchedule,
    Expire,
    Fail,
    FireSchedule,
    Forget,
    Heartbeat,
    Lead,
    LeaseRef,
    NewJob,
    Op,
    Pause,
    PauseSchedule,
    PutSchedule,
    Release,
    Resign,
    Resume,
    ResumeSchedule,
    Retry,
    Seal,
    SetPriority,
    Share,
    Submit,
)
from osqueue.model.outcomes import (
    Acted,
    ActOutcome,
    ArchiveBehind,
    Claimed,
    Done,
    Grant,
    IdConflict,
    LeaseLost,
    Leaving,
    NotFound,
    NotWaiting,
    Outcome,
    ParentMissing,
    PayloadOutdated,
    RefOutcome,
    Results,
    Sealed,
    StateFull,
    Submitted,
    TooManyChildren,
)
from osqueue.model.recurring import change_schedule
from osqueue.model.search import Wanted
from osqueue.model.state import QueueState, new_job_weight, same_job, weight_of
from osqueue.model.waits import NOBODY, parents_of

__all__ = ["EXPIRE_BATCH_MAX", "apply"]

EXPIRE_BATCH_MAX = 2_000
"""Leases taken back in one go, about 10 ms of work; the rest is due at once again."""

FAILED, RELEASED = "failed", "released"

_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
"""Payloads are kept as they were sent. In JSON a line break can only stand between two tokens."""

_DONE = Done()
_NOTHING = Claimed(())


def apply(state: QueueState, op: Op, now: Moment) -> Outcome:  # noqa: C901, PLR0911, PLR0912 - one flat dispatch over the union of changes
    """Do what ``op`` asks, or refuse it."""
    match op:
        case Submit():
            return _submit(state, op, now)
        case Claim():
            return _claim(state, op, now)
        case Complete():
            return _complete_all(state, op, now)
        case Heartbeat():
            return _heartbeat(state, op, now)
        case Fail():
            return _fail(state, op, now)
        case Release():
            return Results(tuple([_release(state, op.worker_id, ref, now) for ref in op.refs]))
        case Cancel():
            return _cancel(state, op, now)
        case Retry():
            return _retry(state, op, now)
        case Act():
            return _act(state, op, now)
        case SetPriority():
            return _set_priority(state, op)
        case Pause():
            state.pause()
            return _DONE
        case Resume():
            state.resume()
            return _DONE
        case Expire():
            return _expire(state, now)
        case Forget():
            state.ends.trim(now.serving)
            return _DONE
        case Seal():
            return _seal(state, op, now)
        case Drop():
            return _drop(state, op)
        case Lead():
            return _lead(state, op)
        case Share():
            return _share(state, op)
        case Resign():
            return _resign(state)
        case PutSchedule() | DropSchedule() | PauseSchedule() | ResumeSchedule() | FireSchedule():
            return change_schedule(state, op, now)
        case _:
            return look(state, op, now)


def _submit(state: QueueState, op: Submit, now: Moment) -> Outcome:
    fresh = {new.id: new for new in op.jobs}
    if len(fresh) < len(op.jobs) or state.knows_any(fresh.keys()):
        fresh.clear()
        for new in op.jobs:
            if not _is_same(state, new, fresh):
                return IdConflict(new.id)
    keys = [new.large.key for new in op.jobs if new.large is not None]
    if keys:
        outdated = _outdated(state, fresh.values())
        if outdated is not None:
            return PayloadOutdated(outdated)
    parents = NOBODY
    if any(new.after for new in fresh.values()):
        judged = parents_of(fresh.values(), state.jobs, state.ends, state.waits)
        if isinstance(judged, ParentMissing | TooManyChildren):
            return judged
        parents = judged
    weight = sum([new_job_weight(new) for new in fresh.values()])
    if fresh and state.size + weight > state.limits.state_bytes_max:
        return StateFull(state.limits.state_bytes_max)
    if fresh and state.ends.finished_bytes > state.limits.finished_bytes_max:
        return ArchiveBehind(state.limits.finished_bytes_max)
    state.submit(fresh.values(), weight, now, parents)
    return Submitted(len(fresh), tuple([key for key in keys if key not in state.payload_keys]))


def _is_same(state: QueueState, new: NewJob, fresh: dict[str, NewJob]) -> bool:
    """Whether a submitted job is the one of its id, if that is known; if not, it is ``fresh``."""
    job = state.jobs.get(new.id)
    if job is not None:
        return same_job(job, new)
    if new.id in state.ends:
        content = content_of(new.type, new.payload, new.large)
        return state.ends.content_of(new.id) in {None, content}
    first = fresh.setdefault(new.id, new)
    return first is new or _same_content(first, new)


def _same_content(one: NewJob, other: NewJob) -> bool:
    if one.large is None and other.large is None:
        return (one.type, one.payload) == (other.type, other.payload)
    return (one.payload_bytes, content_of(one.type, one.payload, one.large)) == (
        other.payload_bytes,
        content_of(other.type, other.payload, other.large),
    )


def _outdated(state: QueueState, jobs: Iterable[NewJob]) -> str | None:
    """A payload object that is not safe from the sweepers: they look at lower epochs."""
    own = f"{PAYLOADS}{state.header.epoch}/"
    keys = (new.large.key for new in jobs if new.large is not None)
    return next((key for key in keys if not key.startswith(own)), None)


def _claim(state: QueueState, op: Claim, now: Moment) -> Outcome:
    if op.claim_id is not None:
        held = [job for job in state.leases.of_claim(op.claim_id) if job.worker_id == op.worker_id]
        if held:
            for each in held:
                each.granted_at = now.serving  # a list of before this answer must not orphan it
            return Claimed(tuple([_grant(job) for job in held]))
    state.promote_due(now.wall)
    if state.paused:
        return _NOTHING
    grants: list[Grant] = []
    room = state.limits.claim_bytes_max
    caps = Caps(op.types, op.caps) if op.caps else None
    while len(grants) < op.max and (job := _next(state, op, caps)) is not None:
        size = 0 if job.large is None else job.large.size
        if grants and size > room:
            state.ready.push(job)
            break
        state.claim(job, op, f"{op.lease_seed}-{len(grants)}", now)
        grants.append(grant := _grant(job))
        room -= size or length_of(grant.payload)
        if room <= 0:
            break
    return Claimed(tuple(grants)) if grants else _NOTHING


def _next(state: QueueState, op: Claim, caps: Caps | None) -> Job | None:
    if caps is None:
        return state.ready.pop(op.types)
    job = state.ready.pop(caps.types, caps.spent)
    if job is not None:
        caps.take(job.type)
    return job


def _grant(job: Job) -> Grant:
    return Grant(
        job.id,
        job.type,
        payload_of(job),
        job.lease or "",
        job.attempts,
        job.attempts_allowed,
        job.created_at,
        job.priority,
        job.large,
        job.traceparent,
        job.terms,
    )


def _complete_all(state: QueueState, op: Complete, now: Moment) -> Outcome:
    if not op.results:
        return Results(
            tuple([_complete(state, op.worker_id, ref, now, result=UNSET) for ref in op.refs])
        )
    if state.limits.archived and state.ends.finished_bytes > state.limits.state_bytes_max:
        return ArchiveBehind(state.limits.state_bytes_max)  # results are what makes it grow
    each = zip(op.refs, op.results, strict=True)
    return Results(
        tuple([_complete(state, op.worker_id, ref, now, result=result) for ref, result in each])
    )


def _complete(
    state: QueueState, worker_id: str, ref: LeaseRef, now: Moment, *, result: Raw | UnsetType
) -> RefOutcome:
    job = state.jobs.get(ref.id)
    if job is None or not _holds(job, worker_id, ref.lease):
        return _repeated(state, ref, JobStatus.COMPLETED)
    state.complete(job, now, result=result)
    return _DONE


def _heartbeat(state: QueueState, op: Heartbeat, now: Moment) -> Outcome:
    results: list[RefOutcome] = []
    renewed: set[str] = set()
    for at, ref in enumerate(op.refs):
        job = state.jobs.get(ref.id)
        if job is not None and _holds(job, op.worker_id, ref.lease):
            state.renew(job, now)
            if op.progress and (told := op.progress[at]) is not None:
                state.note_progress(job, told, now)
            renewed.add(job.id)
            results.append(_DONE)
        else:
            results.append(_lost(state, ref))
    if op.complete_list:
        _release_orphans(state, op.worker_id, now, known=renewed)
    return Results(tuple(results))


def _release_orphans(state: QueueState, worker_id: str, now: Moment, *, known: set[str]) -> None:
    """Take back what the worker does not know of: the claim's answer never reached it."""
    granted_before = now.serving - state.limits.orphan_after_ms
    for job in list(state.leases.of_worker(worker_id)):
        if job.id not in known and job.granted_at < granted_before:
            state.release(job, now)


def _fail(state: QueueState, op: Fail, now: Moment) -> Outcome:
    job = state.jobs.get(op.ref.id)
    if job is None or not _holds(job, op.worker_id, op.ref.lease):
        return _repeated(state, op.ref, FAILED)
    lease = job.lease
    delay_ms = _pause_ms(state, job) if op.delay_ms is None else op.delay_ms
    run_at = now.wall + delay_ms if delay_ms > 0 else None
    if op.retry and job.attempts < job.attempts_allowed:
        state.requeue(job, now, error=op.error, run_at=run_at)
    else:
        state.bury(job, op.error, now)
    state.remember_lease(job.id, lease, how=FAILED, now=now)
    return _DONE


def _pause_ms(state: QueueState, job: Job) -> int:
    """How long a job waits by its own policy, or by the queue's."""
    return retries.delay_ms(job.terms.retry or state.limits.retry, job.id, job.attempts)


def _release(state: QueueState, worker_id: str, ref: LeaseRef, now: Moment) -> RefOutcome:
    job = state.jobs.get(ref.id)
    if job is None or not _holds(job, worker_id, ref.lease):
        return _repeated(state, ref, RELEASED)
    lease = job.lease
    state.release(job, now)
    state.remember_lease(job.id, lease, how=RELEASED, now=now)
    return _DONE


def _act(state: QueueState, op: Act, now: Moment) -> Acted:
    state.promote_due(now.wall)
    wanted = None if op.wanted is None else Wanted(op.wanted)
    meant = [wanted is None or _is_meant(state, wanted, one.id) for one in op.each]
    each = zip(op.each, meant, strict=True)
    return Acted(tuple([_act_on_one(state, one, now) if is_ else None for one, is_ in each]))


def _is_meant(state: QueueState, wanted: Wanted, job_id: str) -> bool:
    job = state.jobs.get(job_id)
    return job is not None and len(wanted.among([job])) > 0


def _act_on_one(state: QueueState, op: Cancel | Retry | SetPriority, now: Moment) -> ActOutcome:
    match op:
        case Cancel():
            return _cancel(state, op, now)
        case Retry():
            return _retry(state, op, now)
        case SetPriority():
            return _set_priority(state, op)
        case _:  # pragma: no cover
            assert_never(op)


def _cancel(state: QueueState, op: Cancel, now: Moment) -> Done | NotFound:
    job = state.jobs.get(op.id)
    if job is None:
        how = state.ends.how_job_ended(op.id)
        repeated = how in {JobStatus.CANCELLED, JobStatus.DISCARDED}
        return _DONE if repeated else NotFound(op.id, how)
    state.cancel(job, now)
    return _DONE


def _retry(state: QueueState, op: Retry, now: Moment) -> ActOutcome:
    job = state.jobs.get(op.id)
    if job is None:
        return _restore(state, op, now)
    if job.status is JobStatus.DEAD:
        state.revive(job, now)
    return _DONE


def _restore(state: QueueState, op: Retry, now: Moment) -> ActOutcome:
    """Queue a dead letter again that has left the state: for the archive, or is there already."""
    if state.ends.how_job_ended(op.id) not in {None, JobStatus.DEAD}:
        return _not_found(state, op.id)
    if state.ends.sealed(op.id):
        return Leaving(op.id)
    entry = state.ends.finished_job(op.id)
    line = op.archived if entry is None else entry.encoded or encode_finished(entry)
    if line is None:
        return _not_found(state, op.id)
    job = decode_finished(line)
    if job.id != op.id or job.status is not JobStatus.DEAD:
        return _not_found(state, op.id)
    if entry is None and state.size + weight_of(job) > state.limits.state_bytes_max:
        return StateFull(state.limits.state_bytes_max)
    state.restore(job, now)
    return _DONE


def _set_priority(state: QueueState, op: SetPriority) -> Done | NotFound | NotWaiting:
    """What it is already is done, also for a job that has been claimed since: a repetition."""
    job = state.jobs.get(op.id) or state.ends.finished_job(op.id)
    if job is None:
        how = state.ends.how_job_ended(op.id)
        return NotFound(op.id) if how is None else NotWaiting(op.id, how)
    if job.priority == op.priority:
        return _DONE
    if job.status is not JobStatus.UNCLAIMED:
        return NotWaiting(op.id, job.status.value)
    state.set_priority(job, op.priority)
    return _DONE


def _expire(state: QueueState, now: Moment) -> Outcome:
    ended = 0
    while ended < EXPIRE_BATCH_MAX and (job := state.leases.due(now.serving)) is not None:
        message = f"no heartbeat from worker {job.worker_id!r} before the lease ran out"
        error = Raw(msgspec.json.encode({"type": "LeaseExpired", "message": message}))
        if job.attempts < job.attempts_allowed:
            state.expire(job, now, error=error)
        else:
            state.bury(job, error, now)
        ended += 1
    return _DONE


def _seal(state: QueueState, op: Seal, now: Moment) -> Outcome:
    ends = state.ends
    outbox = ends.outbox
    if outbox is None:
        outbox = ends.seal(op.token, now.wall, jobs_max=op.jobs_max, bytes_max=op.bytes_max)
        if outbox is None:
            return _DONE
        state.revision += 1
    lines = [job.encoded if not job.stale else encode_finished(job) for job in ends.batch()]
    data = b"".join([line.translate(_ONE_LINE) + b"\n" for line in lines])
    return Sealed(outbox.key, data, len(lines))


def _drop(state: QueueState, op: Drop) -> Outcome:
    if state.ends.outbox is not None and state.ends.outbox.key == op.key:
        state.ends.drop()
        state.revision += 1
    return _DONE


def _lead(state: QueueState, op: Lead) -> Outcome:
    state.header.succeed(op.epoch, broker=op.broker, broker_id=op.broker_id)
    state.header.heartbeat_every = op.heartbeat_every
    state.revision += 1
    return _DONE


def _share(state: QueueState, op: Share) -> Outcome:
    state.header.share(op.epoch, writer=op.writer)
    state.revision += op.takes
    return _DONE


def _resign(state: QueueState) -> Outcome:
    state.header.broker = state.header.broker_id = None
    state.revision += 1
    return _DONE


def _holds(job: Job, worker_id: str, lease: str | None) -> bool:
    """Whether a caller holds a job: by its lease, or for older callers by the worker's id."""
    if job.status is not JobStatus.IN_PROGRESS:
        return False
    return job.worker_id == worker_id if lease is None else job.lease == lease


def _repeated(state: QueueState, ref: LeaseRef, how: str) -> RefOutcome:
    """The answer to a caller who does not hold the job: the first one, if it ended the lease so."""
    if ref.lease is not None and state.ends.how_lease_ended(ref.id, ref.lease) == how:
        return _DONE
    return _lost(state, ref)


def _lost(state: QueueState, ref: LeaseRef) -> RefOutcome:
    """The refusal of a caller who does not hold the job: a stale lease is lost, however it was."""
    if ref.id in state.jobs or (ref.lease is not None and ref.id in state.ends):
        return LeaseLost(ref.id)
    return _not_found(state, ref.id)


def _not_found(state: QueueState, job_id: str) -> NotFound:
    return NotFound(job_id, state.ends.how_job_ended(job_id))
