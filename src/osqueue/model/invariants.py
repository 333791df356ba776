"""What must hold of a state at any time. For tests and simulation: it looks at everything."""

from __future__ import annotations

from collections import Counter

from osqueue.model.ends import weight
from osqueue.model.job import END_STATUSES, Job, JobStatus, payload_of
from osqueue.model.state import QueueState, weight_of

__all__ = ["check"]


def check(state: QueueState) -> None:
    """Raise `AssertionError` naming the first law that does not hold."""
    jobs = list(state.order)
    _same("jobs by id and in order", sorted(state.jobs), sorted(job.id for job in jobs))
    seqs = [job.seq for job in jobs]
    _same("order of arrival", seqs, sorted(set(seqs)))
    for job in jobs:
        _check_job(job)
    counted = Counter(job.status for job in jobs)
    _same("counts", {k: v for k, v in state.counts.items() if v}, dict(counted))
    _check_schedules(state)
    _same("size", state.size, sum(weight_of(job) for job in jobs) + state.schedules.size)
    keys = Counter(job.large.key for job in jobs if job.large is not None)
    _same("payload objects", state.payload_keys, dict(keys))
    _check_places(state, jobs)
    _same("finished bytes", state.ends.finished_bytes, sum(map(weight, state.ends.finished)))
    for job in state.ends.finished:
        left = job.status in END_STATUSES or job.status is JobStatus.DEAD
        _law(left and job.ended_at is not None, f"finished: {job.id}")
        _law(job.id not in state.jobs, f"{job.id} is finished and lives on")
        _law(state.ends.finished_job(job.id) is job, f"finished by id: {job.id}")


def _check_places(state: QueueState, jobs: list[Job]) -> None:
    free = [job for job in jobs if not job.waits]
    delayed = sum(job.run_at is not None for job in free)
    unclaimed = state.counts[JobStatus.UNCLAIMED]
    _same("waiting", state.waits.live, len(jobs) - len(free))
    _same("delayed", state.delayed.live, delayed)
    _same("ready", state.ready.live, unclaimed - delayed - state.waits.live)
    _check_families(state, jobs)
    ready = Counter(
        job.type for job in free if job.status is JobStatus.UNCLAIMED and job.run_at is None
    )
    for type_, number in ready.items():
        _same(f"ready of type {type_!r}", state.ready.count(type_), number)
    dead = [job.id for job in jobs if job.status is JobStatus.DEAD and job.large is None]
    _same("dead letters", sorted(state.dead), sorted(dead))
    running = [job for job in jobs if job.status is JobStatus.IN_PROGRESS]
    _same("leases", state.leases.live, len(running))
    deadlines = [job.deadline for job in running]
    _same("next deadline", state.leases.next_deadline(), min(deadlines, default=None))
    leases = [job.lease for job in running if job.lease is not None]
    _same("leases are unique", len(leases), len(set(leases)))
    _same("running by type", state.leases.types, dict(Counter(job.type for job in running)))
    dead_types = Counter(job.type for job in jobs if job.status is JobStatus.DEAD)
    _same("dead by type", state.dead_types, dict(dead_types))


def _check_schedules(state: QueueState) -> None:
    schedules = list(state.schedules)
    times = [each.next_at for each in schedules if each.next_at is not None]
    _same("next time of all", state.schedules.next_at(), min(times, default=None))
    due = state.schedules.due(max(times, default=0))
    _same("schedules by time", [each.next_at for each in due], sorted(times))
    for each in schedules:
        _law(state.schedules.get(each.name) is each, f"schedule by name: {each.name}")
        _law(each.next_at is None or not each.paused, f"schedule {each.name} is paused and due")
    written = state.schedules.encoded()
    _same("size of schedules", state.schedules.size, len(written) - max(0, len(schedules) - 1))


def _check_families(state: QueueState, jobs: list[Job]) -> None:
    waiting = {(parent, job.id) for job in jobs for parent in job.waits_for}
    _same("who waits for whom", state.waits.edges(), waiting)
    after = {(parent, job.id) for job in jobs for parent in job.after}
    _same("who comes after whom", state.family.edges(), after)
    ended = {(parent, job.id) for job in state.ends.finished for parent in job.after}
    _same("who came after whom", state.ends.family.edges(), ended)


def _check_job(job: Job) -> None:
    running = job.status is JobStatus.IN_PROGRESS
    _law(job.status not in END_STATUSES, f"{job.id} has ended and is still queued")
    _law(running or job.lease is job.worker_id is None, f"{job.id} is held and does not run")
    _law(job.run_at is None or job.status is JobStatus.UNCLAIMED, f"{job.id} runs and is delayed")
    _law(set(job.waits_for) <= set(job.after), f"{job.id} waits for what it does not come after")
    _law(not job.waits or job.status is JobStatus.UNCLAIMED, f"{job.id} is {job.status} and waits")
    _law(job.attempts >= 0, f"{job.id} has {job.attempts} attempts")
    _law(not job.stale or job.encoded != b"" or job.payload is not None, f"{job.id} lost its data")
    payload_of(job)


def _same(what: str, got: object, wanted: object) -> None:
    _law(got == wanted, f"{what}: {got!r} is not {wanted!r}")


def _law(holds: object, what: str) -> None:
    if not holds:
        raise AssertionError(what)
