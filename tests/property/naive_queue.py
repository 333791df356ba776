"""A queue as one would explain it: plain lists, looked through from end to end.

Written from the specification, not from the model, and knows nothing of its indexes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, assert_never

import msgspec
from msgspec import UNSET, Raw

from osqueue.config import QueueLimits
from osqueue.model import outcomes as out
from osqueue.model.job import Moment
from osqueue.model.ops import (
    Cancel,
    Claim,
    Complete,
    Expire,
    Fail,
    Forget,
    GetJob,
    GetStats,
    Heartbeat,
    LeaseRef,
    ListJobs,
    Pause,
    Release,
    Resume,
    Retry,
    SetPriority,
    Submit,
)

from .naive_job import NaiveJob

LEASE_ENDS = {"failed", "released"}

SimpleOp = (
    Submit
    | Claim
    | Heartbeat
    | Complete
    | Fail
    | Release
    | Cancel
    | Retry
    | SetPriority
    | Pause
    | Resume
    | Expire
    | Forget
)
LookOp = GetJob | GetStats | ListJobs


class NaiveEnd(NamedTuple):
    id: str
    how: str
    at: int
    lease: str | None
    since: int


class NaiveQueue:
    """``held`` has the running jobs in the order of their leases' grants."""

    def __init__(self, limits: QueueLimits) -> None:
        self.limits = limits
        self.jobs: list[NaiveJob] = []
        self.held: list[NaiveJob] = []
        self.finished: list[NaiveJob] = []
        self.gone: dict[str, NaiveJob] = {}
        self.recent: list[NaiveEnd] = []
        self.completed_total = self.dead_total = 0
        self.paused = False
        self.dead: list[NaiveJob] = []
        """Dead letters that have not left, longest dead first."""
        self.outbox: list[NaiveJob] | None = None

    def reload(self, now: Moment) -> None:
        """Another process reads the state: every lease and memory gets its full time."""
        self.held = self.running()
        self.dead = [job for job in self.jobs if job.status == "dead"]  # by arrival from now on
        for job in self.held:
            job.granted, job.deadline = now.serving, now.serving + self.limits.lease_timeout_ms
        for job in self.finished:
            job.since = now.serving
        self.recent = [end._replace(since=now.serving) for end in self.recent]

    def running(self) -> list[NaiveJob]:
        return [job for job in self.jobs if job.status == "in_progress"]

    def live(self, job_id: str) -> NaiveJob | None:
        return next((job for job in self.jobs if job.id == job_id), None)

    def done(self, job_id: str) -> NaiveJob | None:
        return next((job for job in self.finished if job.id == job_id), None)

    def how_ended(self, job_id: str) -> str | None:
        if (job := self.done(job_id)) is not None:
            return job.status
        ends = [end for end in self.recent if end.id == job_id and end.how not in LEASE_ENDS]
        return ends[-1].how if ends else None

    def how_lease_ended(self, job_id: str, lease: str | None) -> str | None:
        job = self.done(job_id)
        if job is not None and job.lease is not None and job.lease == lease:
            return job.status
        ends = [end for end in self.recent if end.id == job_id and end.lease == lease is not None]
        return ends[-1].how if ends else None

    def apply(self, op: SimpleOp, now: Moment) -> out.Outcome:  # noqa: C901, PLR0911 - flat dispatch
        match op:
            case Submit():
                return self.submit(op, now)
            case Claim():
                return self.claim(op, now)
            case Heartbeat():
                return self.heartbeat(op, now)
            case Complete() | Release():
                return self.end_leases(op, now)
            case Fail():
                return self.end_lease(op.worker_id, op.ref, "failed", now, fail=op)
            case Cancel():
                return self.cancel(op.id, now)
            case Retry():
                return self.retry(op.id)
            case SetPriority():
                return self.set_priority(op)
            case Pause() | Resume():
                self.paused = isinstance(op, Pause)
                return out.Done()
            case Expire():
                return self.expire(now)
            case Forget():
                self.forget(now)
                return out.Done()
            case _:
                assert_never(op)

    def submit(self, op: Submit, now: Moment) -> out.Outcome:
        fresh: list[NaiveJob] = []
        for new in op.jobs:
            known = next((job for job in fresh if job.id == new.id), None)
            known = known or self.live(new.id) or self.done(new.id) or self.gone.get(new.id)
            if known is None or (known.ended_at is not None and self.how_ended(new.id) is None):
                run_at = new.run_at if new.run_at is not None and new.run_at > now.wall else None
                times = (now.wall, new.priority, run_at, new.max_attempts)
                job = NaiveJob(new.id, new.type, new.payload, *times, terms=new.terms)
                job.after = new.after
                fresh.append(job)
            elif (known.type, known.payload) != (new.type, new.payload):
                return out.IdConflict(new.id)
        refusal = self.tie(fresh)
        if refusal is not None:
            return refusal
        self.jobs += fresh
        return out.Submitted(len(fresh))

    def tie(self, fresh: list[NaiveJob]) -> out.ParentMissing | None:
        """Have new jobs wait for what is not completed of what they come after."""
        for at, job in enumerate(fresh):
            going_on = {each.id for each in self.jobs + fresh[:at]}
            for parent in job.after:
                how = None if parent in going_on else self.how_ended(parent)
                if parent not in going_on and how not in {"completed", "dead"}:
                    return out.ParentMissing(job.id, parent, how)
                if how != "completed":
                    job.waits_for += (parent,)
        return None

    def claim(self, op: Claim, now: Moment) -> out.Outcome:
        held = [
            job
            for job in self.held
            if job.claim == op.claim_id is not None and job.worker == op.worker_id
        ]
        for job in held:
            job.granted = now.serving
        if held:
            return out.Claimed(tuple(map(NaiveJob.grant, held)))
        self.end_delays(now)
        if self.paused:
            return out.Claimed(())
        ready = [job for job in self.jobs if job.status == "unclaimed" and job.run_at is None]
        ready = [job for job in ready if not job.waits_for]
        ready = [job for job in ready if op.types is None or job.type in op.types]
        chosen = self.within(op.caps, sorted(ready, key=lambda job: job.priority))[: op.max]
        for number, job in enumerate(chosen):
            job.status, job.worker, job.claim = "in_progress", op.worker_id, op.claim_id
            job.lease = f"{op.lease_seed}-{number}"
            job.attempts += 1
            job.heartbeat, job.granted = now.wall, now.serving
            job.deadline = now.serving + self.limits.lease_timeout_ms
            self.held.append(job)
        return out.Claimed(tuple(map(NaiveJob.grant, chosen)))

    @staticmethod
    def within(caps: tuple[tuple[str, int], ...], ready: list[NaiveJob]) -> list[NaiveJob]:
        """The first so many of each type that has a cap."""
        left, chosen = dict(caps), []
        for job in ready:
            if left.get(job.type, 1) > 0:
                chosen.append(job)
                if job.type in left:
                    left[job.type] -= 1
        return chosen

    def holds(self, worker_id: str, ref: LeaseRef) -> NaiveJob | None:
        job = self.live(ref.id)
        if job is None or job.status != "in_progress":
            return None
        held = job.worker == worker_id if ref.lease is None else job.lease == ref.lease
        return job if held else None

    def lost(self, ref: LeaseRef) -> out.RefOutcome:
        how = self.how_ended(ref.id)
        if self.live(ref.id) is None and (ref.lease is None or how is None):
            return out.NotFound(ref.id, how)
        return out.LeaseLost(ref.id)

    def heartbeat(self, op: Heartbeat, now: Moment) -> out.Outcome:
        listed = [self.holds(op.worker_id, ref) for ref in op.refs]
        each = [
            out.Done() if job is not None else self.lost(ref)
            for ref, job in zip(op.refs, listed, strict=True)
        ]
        told = op.progress or (None,) * len(op.refs)
        for job, progress in zip(listed, told, strict=True):
            if job is not None:
                job.heartbeat = now.wall
                job.deadline = now.serving + self.limits.lease_timeout_ms
                job.progress = progress or job.progress
        for job in self.running() if op.complete_list else []:
            old = now.serving - job.granted > self.limits.orphan_after_ms
            if job.worker == op.worker_id and job not in listed and old:
                self.give_back(job)
        return out.Results(tuple(each))

    def end_leases(self, op: Complete | Release, now: Moment) -> out.Results:
        if isinstance(op, Release):
            each = [self.end_lease(op.worker_id, ref, "released", now) for ref in op.refs]
            return out.Results(tuple(each))
        brought = op.results or (UNSET,) * len(op.refs)
        each = []
        for ref, result in zip(op.refs, brought, strict=True):
            held = self.holds(op.worker_id, ref)
            each.append(self.end_lease(op.worker_id, ref, "completed", now))
            if held is not None:
                held.result = result
        return out.Results(tuple(each))

    def end_lease(
        self, worker_id: str, ref: LeaseRef, how: str, now: Moment, *, fail: Fail | None = None
    ) -> out.RefOutcome:
        job = self.holds(worker_id, ref)
        if job is None:
            again = ref.lease is not None and self.how_lease_ended(ref.id, ref.lease) == how
            return out.Done() if again else self.lost(ref)
        lease = job.lease
        if how == "completed":
            self.completed_total += 1
            self.finish(job, how, now)
            for child in [each for each in self.jobs if job.id in each.waits_for]:
                child.waits_for = tuple(each for each in child.waits_for if each != job.id)
                if not child.waits_for and child.run_at is not None and child.run_at <= now.wall:
                    child.run_at = None
            return out.Done()
        if fail is None:
            self.give_back(job)
        else:
            delay_ms = self.pause(job) if fail.delay_ms is None else fail.delay_ms
            run_at = now.wall + delay_ms if delay_ms > 0 else None
            self.fail(job, fail.error, now, retry=fail.retry, run_at=run_at)
        if lease is not None:
            self.remember(NaiveEnd(job.id, how, now.wall, lease, now.serving))
        return out.Done()

    def pause(self, job: NaiveJob) -> int:
        """Doubled each time, up to a bound: the policies here have no jitter."""
        policy = job.terms.retry or self.limits.retry
        assert policy.jitter == 0
        waits = float(policy.base_ms)
        for _ in range(job.attempts - 1):
            waits = min(waits * policy.factor, policy.max_ms)
        return int(min(waits, policy.max_ms))

    def give_back(self, job: NaiveJob) -> None:
        self.held.remove(job)
        job.attempts -= 1
        job.put_back()

    def fail(
        self, job: NaiveJob, error: Raw, now: Moment, *, retry: bool, run_at: int | None = None
    ) -> None:
        self.held.remove(job)
        fields = msgspec.json.decode(error) | {"at": now.wall, "attempt": job.attempts}
        if job.worker is not None:
            fields["workerId"] = job.worker
        job.errors = (*job.errors, Raw(msgspec.json.encode(fields)))[-5:]
        if retry and job.attempts < job.allowed:
            job.run_at = run_at
            job.put_back()
        else:
            self.dead_total += 1
            job.put_back(status="dead")
            self.dead.append(job)
            while self.limits.archived and len(self.dead) > self.limits.dead_max:
                self.finish(self.dead[0], "dead", now)

    def cancel(self, job_id: str, now: Moment) -> out.Outcome:
        job = self.live(job_id)
        if job is None:
            how = self.how_ended(job_id)
            return out.Done() if how in {"cancelled", "discarded"} else out.NotFound(job_id, how)
        self.finish(job, "discarded" if job.status == "dead" else "cancelled", now)
        over = [job]
        while over:
            parent = over.pop(0)
            for child in [each for each in self.jobs if parent.id in each.waits_for]:
                said = f"waits for a job that was {parent.status}: {parent.id}"
                error = {"type": "ParentNotCompleted", "message": said}
                noted = error | {"at": now.wall, "attempt": child.attempts}
                child.errors = (*child.errors, Raw(msgspec.json.encode(noted)))[-5:]
                self.finish(child, "cancelled", now)
                over.append(child)
        return out.Done()

    def retry(self, job_id: str) -> out.Outcome:
        job = self.live(job_id)
        if job is None:
            return self.bring_back(job_id)
        if job.status == "dead":
            self.dead.remove(job)
            job.attempts = 0
            job.put_back()
        return out.Done()

    def set_priority(self, op: SetPriority) -> out.Outcome:
        job = self.live(op.id) or self.done(op.id)
        status = self.how_ended(op.id) if job is None else job.status
        if status is None:
            return out.NotFound(op.id)
        if job is not None and (status == "unclaimed" or job.priority == op.priority):
            job.priority = op.priority
            return out.Done()
        return out.NotWaiting(op.id, status)

    def bring_back(self, job_id: str) -> out.Outcome:
        """From among those on their way to the archive."""
        job = self.done(job_id)
        if job is None or job.status != "dead":
            return out.NotFound(job_id, self.how_ended(job_id))
        if job in (self.outbox or ()):
            return out.Leaving(job_id)
        self.finished.remove(job)
        self.queue_again(job)
        return out.Done()

    def queue_again(self, job: NaiveJob) -> None:
        job.attempts, job.ended_at = 0, None
        job.put_back()
        self.jobs.append(job)

    def retry_archived(self, archived: NaiveJob) -> out.Outcome:
        """Of a job that stands in the archive as dead."""
        known = self.live(archived.id) or self.done(archived.id)
        if known is not None or self.how_ended(archived.id) not in {None, "dead"}:
            return self.retry(archived.id)
        self.queue_again(replace(archived))
        return out.Done()

    def seal(self, most: int) -> list[str]:
        """The ids of the batch."""
        if self.outbox is None and self.finished:
            self.outbox = self.finished[:most]
        return [job.id for job in self.outbox or ()]

    def drop(self) -> list[NaiveJob]:
        """What has left now."""
        dropped, self.outbox = self.outbox or [], None
        for job in dropped:
            self.finished.remove(job)
            self.let_go(job)
        return [replace(job) for job in dropped]

    def expire(self, now: Moment) -> out.Outcome:
        due = [job for job in self.running() if job.deadline <= now.serving]
        for job in sorted(due, key=lambda job: job.deadline):
            message = f"no heartbeat from worker {job.worker!r} before the lease ran out"
            error = msgspec.json.encode({"type": "LeaseExpired", "message": message})
            self.fail(job, Raw(error), now, retry=True)
        return out.Done()

    def finish(self, job: NaiveJob, how: str, now: Moment) -> None:
        self.jobs.remove(job)
        if job in self.held:
            self.held.remove(job)
        job.status, job.ended_at, job.since = how, now.wall, now.serving
        job.progress, job.waits_for = None, ()
        if job in self.dead:
            self.dead.remove(job)
        self.finished.append(job)
        if len(self.finished) > self.limits.finished_max and not self.limits.archived:
            self.let_go(self.finished.pop(0))

    def let_go(self, gone: NaiveJob) -> None:
        assert gone.ended_at is not None
        self.gone[gone.id] = gone
        self.remember(NaiveEnd(gone.id, gone.status, gone.ended_at, gone.lease, gone.since))

    def remember(self, end: NaiveEnd) -> None:
        self.recent.append(end)
        del self.recent[: -self.limits.dedupe_max]

    def forget(self, now: Moment) -> None:
        while self.recent and self.recent[0].since < now.serving - self.limits.dedupe_window_ms:
            del self.recent[0]

    def end_delays(self, now: Moment) -> None:
        for job in self.jobs:
            if job.run_at is not None and job.run_at <= now.wall and not job.waits_for:
                job.run_at = None

    def look(self, op: LookOp, now: Moment) -> out.Outcome:
        match op:
            case GetJob():
                return self.look_at(op.id)
            case GetStats():
                self.end_delays(now)
                return self.counts()
            case ListJobs():
                self.end_delays(now)
                found = [job.view() for job in self.jobs if self.is_meant(job, op)]
                views = found[::-1] if op.newest_first else found
                return out.Page(self.counts(), tuple(views), None)
            case _:
                assert_never(op)

    @staticmethod
    def is_meant(job: NaiveJob, op: ListJobs) -> bool:
        where = {job.status}
        if job.status == "unclaimed":
            where.add("ready" if job.run_at is None else "delayed")
        if job.waits_for:
            where = {"unclaimed", "waiting"}
        texts = [job.id, job.type, job.worker or "" if job.status == "in_progress" else ""]
        if job.errors:
            last = msgspec.json.decode(job.errors[-1])
            texts += [last["type"], last["message"]]
        said = (op.text or "").lower()
        return (
            (op.status is None or op.status in where)
            and op.type in {None, job.type}
            and any(said in text.lower() for text in texts)
        )

    def look_at(self, job_id: str) -> out.Outcome:
        job = self.live(job_id) or self.done(job_id)
        ends = [end for end in self.recent if end.id == job_id and end.how not in LEASE_ENDS]
        if job is None and ends:
            return out.JobView(id=job_id, status=ends[-1].how, ended_at=ends[-1].at)
        return out.NotFound(job_id) if job is None else job.view()

    def counts(self) -> out.Counts:
        statuses = [job.status for job in self.jobs]
        return out.Counts(
            unclaimed=statuses.count("unclaimed"),
            in_progress=statuses.count("in_progress"),
            dead=statuses.count("dead"),
            delayed=sum(job.run_at is not None and not job.waits_for for job in self.jobs),
            waiting=sum(job.waits_for != () for job in self.jobs),
            completed_total=self.completed_total,
            dead_total=self.dead_total,
            broker=None,
            paused=self.paused,
        )
