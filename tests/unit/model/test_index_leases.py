"""Running jobs by deadline, worker and claim, in an index that does not grow with ended leases."""

from __future__ import annotations

from itertools import count

from msgspec import UNSET

from osqueue.model.index import LeaseIndex
from osqueue.model.job import Job, JobStatus


class Board:
    """Jobs by number, and an index of those that run."""

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}
        self.numbers = count()
        self.leases = LeaseIndex(self.jobs.get)

    def job(self) -> Job:
        number = next(self.numbers)
        self.jobs[number] = Job(f"j{number}", "", 1, UNSET, seq=number)
        return self.jobs[number]

    def grant(self, deadline: int, *, lease: str | None = "l", worker: str | None = "w") -> Job:
        job = self.job()
        job.status, job.deadline = JobStatus.IN_PROGRESS, deadline
        job.lease, job.worker_id = lease, worker
        self.leases.add(job)
        return job

    def end(self, job: Job) -> None:
        self.leases.remove(job)
        job.status, job.lease, job.worker_id = JobStatus.UNCLAIMED, None, None


def test_leases_when_added_then_the_earliest_deadline_is_next() -> None:
    board = Board()
    assert board.leases.next_deadline() is None
    assert board.leases.due(10**15) is None
    jobs = [board.grant(deadline) for deadline in (300, 100, 200)]
    assert board.leases.next_deadline() == 100
    assert board.leases.due(99) is None
    assert board.leases.due(100) is jobs[1]
    board.end(jobs[1])
    assert board.leases.due(10_000) is jobs[2]


def test_leases_when_renewed_then_the_new_deadline_counts() -> None:
    board = Board()
    one, other = board.grant(100), board.grant(150)
    one.deadline = 200
    assert board.leases.next_deadline() == 150
    board.end(other)
    assert board.leases.next_deadline() == 200
    assert board.leases.due(199) is None
    assert board.leases.due(200) is one


def test_leases_when_a_job_is_granted_again_then_the_old_deadline_is_void() -> None:
    board = Board()
    job = board.grant(100, lease="first")
    board.end(job)
    job.status, job.lease, job.worker_id, job.deadline = JobStatus.IN_PROGRESS, "second", "w", 500
    board.leases.add(job)
    assert board.leases.next_deadline() == 500
    assert board.leases.live == 1


def test_leases_when_one_without_a_token_is_granted_again_at_once_then_it_has_its_place() -> None:
    board = Board()
    job = board.grant(100, lease=None)
    board.end(job)
    job.status, job.lease, job.worker_id = JobStatus.IN_PROGRESS, "new", "w"
    board.leases.add(job)
    assert board.leases.due(100) is job


def test_leases_when_asked_by_worker_and_claim_then_what_is_still_held() -> None:
    board = Board()
    jobs = [board.job() for _ in range(3)]
    for number, job in enumerate(jobs):
        job.status, job.lease, job.worker_id = JobStatus.IN_PROGRESS, f"l{number}", "w"
        job.claim_id = "c" if number else None
        board.leases.add(job)
    assert list(board.leases.of_worker("w")) == jobs
    assert list(board.leases.of_claim("c")) == jobs[1:]
    board.end(jobs[1])
    assert list(board.leases.of_worker("w")) == [jobs[0], jobs[2]]
    assert list(board.leases.of_claim("c")) == jobs[2:]
    board.end(jobs[2])
    assert list(board.leases.of_claim("c")) == list(board.leases.of_worker("x")) == []


def test_leases_when_most_have_ended_then_the_heap_shrinks() -> None:
    board = Board()
    kept = board.grant(50_000)
    for number in range(1_000):
        board.end(board.grant(100_000 + number, lease=f"l{number}"))
    assert len(board.leases._heap) < 100
    assert board.leases.due(60_000) is kept
