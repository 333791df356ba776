"""Ready and delayed jobs: their order, and heaps that do not grow with what has left them."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from osqueue.config import PRIORITY_MAX
from osqueue.model.index import DelayedIndex, ReadyIndex
from osqueue.model.job import Job, JobStatus


class Board:
    """Jobs by number, and an index of those that are ready."""

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}
        self.numbers = count()
        self.looked_up = 0
        self.ready = ReadyIndex(self.find)

    def find(self, number: int) -> Job | None:
        self.looked_up += 1
        return self.jobs.get(number)

    def job(self, type_: str = "", priority: int = 0) -> Job:
        number = next(self.numbers)
        job = Job(f"j{number}", type_, 1, UNSET, priority=priority, seq=number)
        self.jobs[number] = job
        return job

    def push(self, type_: str = "", priority: int = 0) -> Job:
        job = self.job(type_, priority)
        self.ready.push(job)
        return job

    def pop(self, *types: str) -> Job | None:
        job = self.ready.pop(types or None)
        if job is not None:
            job.status = JobStatus.IN_PROGRESS
        return job

    def cancel(self, job: Job) -> None:
        job.status = JobStatus.CANCELLED
        del self.jobs[job.seq]
        self.ready.discard(job)

    def reorder(self, job: Job, priority: int) -> None:
        job.priority = priority
        self.ready.reorder(job)


def test_ready_when_priorities_differ_then_lower_first_and_arrival_within_one() -> None:
    board = Board()
    jobs = [board.push("t", p) for p in (0, 5, -1, 0, -PRIORITY_MAX, PRIORITY_MAX, -1)]
    order = [jobs[place] for place in (4, 2, 6, 0, 3, 1, 5)]
    assert [board.pop("t") for _ in jobs] == order
    assert board.pop("t") is None


def test_ready_when_a_job_comes_back_then_it_has_its_place_again() -> None:
    board = Board()
    first, second = board.push(), board.push()
    assert board.pop() is first
    first.status = JobStatus.UNCLAIMED
    board.ready.push(first)
    assert [board.pop(), board.pop()] == [first, second]


def test_ready_when_many_come_at_once_then_as_one_by_one() -> None:
    board = Board()
    jobs = [board.job(*each) for each in (("a", 1), ("a", 0), ("b", 0), ("a", -1), ("b", 0))]
    board.ready.extend(jobs)
    board.ready.extend([])
    assert board.ready.counts() == {"a": 3, "b": 2}
    assert (board.ready.live, board.ready.woken) == (5, {"a", "b"})
    assert [board.pop() for _ in jobs] == [jobs[place] for place in (3, 1, 2, 4, 0)]


def test_ready_when_several_types_are_wanted_then_the_first_of_all_of_them() -> None:
    board = Board()
    a1, b1, c1, a2 = (board.push(type_) for type_ in "abca")
    assert [board.pop("b", "a"), board.pop("a", "b", "x"), board.pop("b", "a")] == [a1, b1, a2]
    assert board.pop("a", "b") is None
    assert board.pop() is c1


def test_ready_when_any_type_is_wanted_then_the_first_of_all() -> None:
    board = Board()
    jobs = [board.push(type_, priority) for type_, priority in (("a", 1), ("b", 0), ("", 1))]
    assert [board.pop() for _ in range(4)] == [jobs[1], jobs[0], jobs[2], None]


def test_ready_when_claims_of_one_and_of_any_type_mix_then_no_job_comes_twice() -> None:
    board = Board()
    jobs = [board.push("ab"[number % 2]) for number in range(6)]
    got = [board.pop(), board.pop("b"), board.pop(), board.pop("a"), board.pop(), board.pop()]
    assert got == [jobs[0], jobs[1], jobs[2], jobs[4], jobs[3], jobs[5]]


def test_ready_when_a_job_is_cancelled_then_it_is_passed_over() -> None:
    board = Board()
    jobs = [board.push("t") for _ in range(6)]
    board.cancel(jobs[0])
    assert board.pop() is jobs[1]
    board.cancel(jobs[2])
    board.cancel(jobs[3])
    assert board.pop("t") is jobs[4]
    board.cancel(jobs[5])
    assert board.pop() is board.pop("t") is None


def test_ready_when_counted_then_live_jobs_by_type() -> None:
    board = Board()
    a1 = board.push("a")
    board.push("a")
    board.push("b")
    assert (board.ready.count("a"), board.ready.count("b"), board.ready.count("c")) == (2, 1, 0)
    board.cancel(a1)
    board.pop("b")
    assert (board.ready.count("a"), board.ready.count("b"), board.ready.live) == (1, 0, 1)


def test_ready_when_asked_for_types_then_whether_a_claim_would_get_a_job() -> None:
    board = Board()
    assert not board.ready.has(None)
    job = board.push("a")
    assert board.ready.has(None)
    assert board.ready.has(("b", "a"))
    assert not board.ready.has(("b", ""))
    board.cancel(job)
    assert not board.ready.has(("a",))


def test_ready_when_jobs_arrive_then_their_types_are_noted_until_cleared() -> None:
    board = Board()
    board.push("a")
    board.push("b")
    assert board.ready.woken == {"a", "b"}
    board.ready.woken.clear()
    board.push("b")
    assert board.ready.woken == {"b"}


def test_ready_when_most_of_a_type_is_cancelled_then_its_heap_shrinks() -> None:
    board = Board()
    kept = board.push("t")
    for job in [board.push("t") for _ in range(1_000)]:
        board.cancel(job)
    assert len(board.ready._queues["t"].heap) < 100
    assert board.pop() is kept


def test_ready_when_any_is_claimed_over_and_over_then_the_heads_do_not_pile_up() -> None:
    board = Board()
    board.push("first", -1)
    for number in range(2_000):
        board.push(f"t{number % 3}", 2_000 - number)
        job = board.pop()
        assert job is not None
        job.status = JobStatus.UNCLAIMED
        board.ready.push(job)
    assert len(board.ready._heads) < 200
    assert len(board.ready._changed) <= 2


def test_ready_when_there_are_ever_new_types_then_nothing_is_kept_of_the_old_ones() -> None:
    board = Board()
    for number in range(2_000):
        board.push(f"tenant {number}")
        assert board.pop(f"tenant {number}") is not None
    assert board.ready.stale == 0
    assert not board.ready._changed


def test_ready_when_most_are_cancelled_in_disorder_then_the_order_of_the_rest_holds() -> None:
    board = Board()
    jobs = [board.push("t", number * 7_919 % 1_000) for number in range(1_000)]
    kept = jobs[::9]
    for job in jobs:
        if job not in kept:
            board.cancel(job)
    kept.sort(key=lambda job: job.priority)
    assert [board.pop("t") for _ in kept] == kept


def test_ready_when_the_order_changes_then_each_comes_once_at_its_new_place() -> None:
    board = Board()
    a, b, c, d = (board.push(type_) for type_ in "xyxy")
    board.reorder(a, 3)
    board.reorder(d, -3)
    assert [board.pop(), board.pop("x"), board.pop(), board.pop()] == [d, c, b, a]
    assert board.pop() is None


def test_ready_when_the_order_changes_over_and_over_then_nothing_piles_up() -> None:
    board = Board()
    jobs = [board.push("t") for _ in range(10)]
    for turn in range(2_000):
        board.reorder(jobs[turn % 10], turn // 10 % 2)
        assert len(board.ready._queues["t"].heap) <= 2 * 10 + 65
    assert board.ready.live == 10
    assert [board.pop() for _ in range(11)] == [*jobs, None]


def test_ready_when_all_stand_there_many_times_then_moving_one_stays_cheap() -> None:
    board = Board()
    *others, one = [board.push("t") for _ in range(100)]
    for job in others * 4:
        board.reorder(job, 1)
        board.reorder(job, 0)
    board.looked_up = 0
    for turn in range(1_000):
        board.reorder(one, turn % 2)
    assert board.looked_up < 10_000
    assert [board.pop() for _ in range(100)] == [*others, one]


def test_ready_when_woken_then_all_types_that_have_jobs() -> None:
    board = Board()
    board.push("a")
    board.pop()
    board.push("b")
    board.ready.woken.clear()
    board.ready.wake()
    assert board.ready.woken == {"b"}


def test_ready_when_types_come_and_go_then_any_is_still_the_first_of_all() -> None:
    board = Board()
    for number in range(400):
        job = board.push(f"t{number * 7_919 % 400}", -number)
        if number % 9:
            assert board.pop() is job
            board.cancel(board.push(job.type, -number))
    left = [board.pop() for _ in range(45)]
    priorities = [job.priority for job in left if job is not None]
    assert priorities == [-number for number in range(396, -1, -9)]


def delayed_job(run_at: int, seq: int) -> Job:
    return Job(f"j{seq}", "", 1, UNSET, run_at=run_at, seq=seq)


def test_delayed_when_time_comes_then_jobs_by_due_time_and_arrival() -> None:
    index = DelayedIndex()
    jobs = [delayed_job(run_at, seq) for seq, run_at in enumerate((30, 10, 20, 10))]
    for job in jobs:
        index.push(job)
    assert index.next_run_at() == 10
    assert index.pop_due(9) is None
    assert [index.pop_due(20) for _ in range(4)] == [jobs[1], jobs[3], jobs[2], None]
    assert (index.live, index.next_run_at()) == (1, 30)


def test_delayed_when_empty_then_nothing_is_due() -> None:
    index = DelayedIndex()
    assert index.next_run_at() is None
    assert index.pop_due(10**15) is None


def test_delayed_when_jobs_are_cancelled_then_they_are_forgotten() -> None:
    index = DelayedIndex()
    jobs = [delayed_job(seq, seq) for seq in range(1_000)]
    for job in jobs:
        index.push(job)
    for job in jobs[:-1]:
        job.status = JobStatus.CANCELLED
        index.discard(job)
    assert len(index._heap) < 100
    assert (index.live, index.next_run_at()) == (1, 999)
    assert index.pop_due(999) is jobs[-1]


def test_delayed_when_the_first_is_cancelled_then_the_next_counts() -> None:
    index = DelayedIndex()
    jobs = [delayed_job(seq, seq) for seq in (10, 20)]
    for job in jobs:
        index.push(job)
    jobs[0].status = JobStatus.CANCELLED
    index.discard(jobs[0])
    assert index.next_run_at() == 20
    assert index.pop_due(20) is jobs[1]


@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.integers(-2, 2)), max_size=40),
    st.lists(st.sampled_from([(), ("a",), ("b",), ("a", "b"), ("", "a")]), max_size=40),
    st.sets(st.integers(0, 39)),
    st.lists(st.tuples(st.integers(0, 39), st.integers(-2, 2)), max_size=40),
)
def test_ready_when_filled_and_emptied_at_random_then_it_equals_a_sorted_list(
    pushed: list[tuple[str, int]],
    pops: list[tuple[str, ...]],
    cancelled: set[int],
    moves: list[tuple[int, int]],
) -> None:
    board = Board()
    jobs = [board.push(type_, priority) for type_, priority in pushed]
    for number in cancelled & set(range(len(jobs))):
        board.cancel(jobs[number])
    waiting = [job for job in jobs if job.status is JobStatus.UNCLAIMED]
    for number, priority in moves:
        if number < len(jobs) and jobs[number] in waiting:
            board.reorder(jobs[number], priority)
    for types in pops:
        fitting = [job for job in waiting if not types or job.type in types]
        first = min(fitting, key=lambda job: (job.priority, job.seq), default=None)
        assert board.pop(*types) is first
        if first is not None:
            waiting.remove(first)
    assert board.ready.live == len(waiting)
