"""Finding the next job, the next due delay and the next expiring lease in O(log n).

All three are heaps with lazy deletion: what leaves out of turn stays behind as a stale entry,
passed over when it comes up, and a heap that is mostly stale is rebuilt. A job that comes back to
where it was may stand twice; once it is taken, the other entry is stale.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import chain, groupby
from operator import attrgetter
from typing import TypeVar

from osqueue.model.job import Job, JobStatus

__all__ = ["DelayedIndex", "LeaseIndex", "ReadyIndex", "one_less"]

_type_of = attrgetter("type")

_STALE_MAX = 64
"""Stale entries that are not worth a rebuild."""

_SEQ_BITS = 48
"""Room for the numbers of 280 million million jobs within one priority."""
_SEQ_MASK = (1 << _SEQ_BITS) - 1

EntryT = TypeVar("EntryT", int, tuple[int, int, Job], tuple[int, int, str])
KeyT = TypeVar("KeyT", bound=str | None)


def _compact(heap: list[EntryT], live: int, valid: Callable[[EntryT], object]) -> None:
    if len(heap) > 2 * live + _STALE_MAX:
        heap[:] = [entry for entry in dict.fromkeys(heap) if valid(entry)]
        heapify(heap)


class _TypeQueue:
    """The ready jobs of one type, each as one number that sorts by priority, then arrival."""

    __slots__ = ("heap", "live")

    def __init__(self) -> None:
        self.heap: list[int] = []
        self.live = 0


class ReadyIndex:
    """Jobs that can be claimed, by type, then by (priority, order of arrival).

    A claim of any type looks at a heap of the types' heads, brought up to date only for the
    types that changed since the last such claim.
    """

    __slots__ = ("_changed", "_find", "_heads", "_queues", "live", "woken")

    def __init__(self, find: Callable[[int], Job | None]) -> None:
        self._find = find
        self._queues: dict[str, _TypeQueue] = {}
        self._heads: list[tuple[int, str]] = []
        self._changed: set[str] = set()
        self.live = 0
        self.woken: set[str] = set()
        """Types that got a job since somebody last cleared this."""

    @property
    def stale(self) -> int:
        """Entries that stand for nothing any more."""
        heaps = sum([len(queue.heap) - queue.live for queue in self._queues.values()])
        heads = len(self._heads) + len(self._changed) - 2 * len(self._queues)
        return max(0, heaps) + max(0, heads)

    def count(self, type_: str) -> int:
        """How many jobs of a type can be claimed."""
        queue = self._queues.get(type_)
        return 0 if queue is None else queue.live

    def counts(self) -> dict[str, int]:
        """How many jobs of each type can be claimed, of those that have any."""
        return {type_: queue.live for type_, queue in self._queues.items()}

    def types(self) -> Collection[str]:
        """The types that have any."""
        return self._queues.keys()

    def heads(self) -> Iterator[Job]:
        """Of each type the job that would be claimed next."""
        return map(self._first, self._queues.values())

    def has(self, types: Sequence[str] | None) -> bool:
        """Whether a claim of these types (``None``: any) would get a job."""
        if types is None:
            return self.live > 0
        return any(type_ in self._queues for type_ in types)

    def push(self, job: Job) -> None:
        self._push(job.type, (_key(job),))

    def extend(self, jobs: Iterable[Job]) -> None:
        """Take in jobs: those of one type that follow one another all at once."""
        for type_, alike in groupby(jobs, _type_of):
            self._push(type_, [_key(job) for job in alike])

    def pop(
        self, types: Sequence[str] | None, without: Collection[str] = frozenset()
    ) -> Job | None:
        """Take the first job of these types, or of any; ``without``: but of these, then."""
        if types is not None:
            type_ = self._first_of(types)
        else:
            type_ = self._first_of_others(without) if without else self._first_of_any()
        if type_ is None:
            return None
        queue = self._queues[type_]
        while True:
            job = self._waiting(heappop(queue.heap))
            if job is not None:
                self._less(type_, queue)
                return job

    def discard(self, job: Job) -> None:
        """Forget a job that has just stopped being ``unclaimed``."""
        queue = self._queues[job.type]
        self._less(job.type, queue)
        _compact(queue.heap, queue.live, self._waiting)

    def reorder(self, job: Job) -> None:
        """Note that a job that can be claimed has got another priority."""
        queue = self._queues[job.type]
        heappush(queue.heap, _key(job))
        self._changed.add(job.type)
        _compact(queue.heap, queue.live, self._waiting)

    def wake(self) -> None:
        """Have all types looked at again: nothing was handed out for a while."""
        self.woken.update(self._queues)

    def _push(self, type_: str, keys: Sequence[int]) -> None:
        queue = self._queues.get(type_)
        if queue is None:
            queue = self._queues[type_] = _TypeQueue()
        for key in keys:
            heappush(queue.heap, key)
        queue.live += len(keys)
        self.live += len(keys)
        self._changed.add(type_)
        self.woken.add(type_)

    def _less(self, type_: str, queue: _TypeQueue) -> None:
        queue.live -= 1
        self.live -= 1
        self._changed.add(type_)
        if queue.live == 0:
            del self._queues[type_]
            self._changed.discard(type_)  # there may be ever new types, and no claim of any type

    def _first_of(self, types: Sequence[str]) -> str | None:
        if len(types) == 1:
            return types[0] if types[0] in self._queues else None
        heads = [head for type_ in types if (head := self._head(type_)) is not None]
        return min(heads)[1] if heads else None

    def _first_of_any(self) -> str | None:
        for type_ in self._changed:
            if (head := self._head(type_)) is not None:
                heappush(self._heads, head)
        self._changed.clear()
        while self._heads and self._heads[0] != self._head(self._heads[0][1]):
            heappop(self._heads)
        if len(self._heads) > 2 * len(self._queues) + _STALE_MAX:
            self._heads = [head for type_ in self._queues if (head := self._head(type_))]
            heapify(self._heads)
        return self._heads[0][1] if self._heads else None

    def _first_of_others(self, without: Collection[str]) -> str | None:
        """The same but for some types, whose heads are put aside and back."""
        aside: list[tuple[int, str]] = []
        while (type_ := self._first_of_any()) in without and type_ is not None:
            aside.append(heappop(self._heads))
        for head in aside:
            heappush(self._heads, head)
        return type_

    def _head(self, type_: str) -> tuple[int, str] | None:
        queue = self._queues.get(type_)
        if queue is None:
            return None
        self._first(queue)
        return queue.heap[0], type_

    def _first(self, queue: _TypeQueue) -> Job:
        """The job that would be claimed next; what stands before it counts no more."""
        while (job := self._waiting(queue.heap[0])) is None:
            heappop(queue.heap)
        return job

    def _waiting(self, key: int) -> Job | None:
        """The job of an entry, if it can still be claimed with the priority that the entry has."""
        job = self._find(key & _SEQ_MASK)
        if job is None or job.status is not JobStatus.UNCLAIMED:
            return None
        return job if job.priority == key >> _SEQ_BITS and job.run_at is None else None


def _key(job: Job) -> int:
    """One number per job. Without a priority it is ``seq`` itself: no further memory."""
    return job.seq if job.priority == 0 else (job.priority << _SEQ_BITS) + job.seq


class DelayedIndex:
    """Jobs that wait for their ``run_at``."""

    __slots__ = ("_heap", "live")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Job]] = []
        self.live = 0

    @property
    def stale(self) -> int:
        """Entries that stand for nothing any more."""
        return len(self._heap) - self.live

    def push(self, job: Job) -> None:
        assert job.run_at is not None, "a job without run_at has nothing to wait for"
        heappush(self._heap, (job.run_at, job.seq, job))
        self.live += 1

    def discard(self, _job: Job) -> None:
        """Forget a job that has just stopped being ``unclaimed``."""
        self.live -= 1
        _compact(self._heap, self.live, lambda entry: entry[2].status is JobStatus.UNCLAIMED)

    def next_run_at(self) -> int | None:
        """When the next delay ends, in ms since the epoch."""
        heap = self._heap
        while heap and heap[0][2].status is not JobStatus.UNCLAIMED:
            heappop(heap)
        return heap[0][0] if heap else None

    def pop_due(self, wall_ms: int) -> Job | None:
        """Take a job whose delay has ended."""
        run_at = self.next_run_at()
        if run_at is None or run_at > wall_ms:
            return None
        self.live -= 1
        return heappop(self._heap)[2]


class LeaseIndex:
    """Running jobs by deadline, by worker and by claim.

    A heartbeat only moves the job's own deadline; the heap learns of it when the old one comes
    up. Entries name the job by number and lease, so an ended lease keeps no job alive; running jobs
    of older implementations have no lease and stand under ``""``, which compares with tokens.
    """

    __slots__ = ("_by_claim", "_by_worker", "_find", "_heap", "live", "types")

    def __init__(self, find: Callable[[int], Job | None]) -> None:
        self._find = find
        self._heap: list[tuple[int, int, str]] = []
        self.types: dict[str, int] = {}
        """How many jobs of each type run, of those that do."""
        self._by_worker: dict[str | None, dict[str, Job]] = {}
        self._by_claim: dict[str, dict[str, Job]] = {}
        self.live = 0

    @property
    def stale(self) -> int:
        """Entries that stand for nothing any more."""
        return len(self._heap) - self.live

    def add(self, job: Job) -> None:
        heappush(self._heap, (job.deadline, job.seq, job.lease or ""))
        held = self._by_worker.get(job.worker_id)
        if held is None:
            held = self._by_worker[job.worker_id] = {}
        held[job.id] = job
        if job.claim_id is not None:
            self._by_claim.setdefault(job.claim_id, {})[job.id] = job
        self.types[job.type] = self.types.get(job.type, 0) + 1
        self.live += 1

    def remove(self, job: Job) -> None:
        """Forget a lease; the job's lease fields must still stand."""
        _take(self._by_worker, job.worker_id, job.id)
        if job.claim_id is not None:
            _take(self._by_claim, job.claim_id, job.id)
        one_less(self.types, job.type)
        self.live -= 1
        _compact(self._heap, self.live, self._holds)

    def __iter__(self) -> Iterator[Job]:
        """Every lease."""
        return chain.from_iterable(held.values() for held in self._by_worker.values())

    def of_worker(self, worker_id: str | None) -> Collection[Job]:
        """The jobs that a worker holds, oldest lease first."""
        return self._by_worker.get(worker_id, {}).values()

    def newest_of(self, worker_id: str | None) -> Job | None:
        """The job that a worker has got last, of those that it holds."""
        return next(reversed(self._by_worker.get(worker_id, {}).values()), None)

    def workers(self) -> Collection[str | None]:
        """The ids of those who hold any."""
        return self._by_worker.keys()

    def of_claim(self, claim_id: str) -> Iterable[Job]:
        """The jobs that a claim got and that are still held by it."""
        return self._by_claim.get(claim_id, {}).values()

    def next_deadline(self) -> int | None:
        """When the first lease expires, in serving time."""
        heap = self._heap
        while heap:
            deadline, seq, lease = heap[0]
            job = self._held(seq, lease)
            if job is None:
                heappop(heap)
            elif job.deadline > deadline:
                heappop(heap)
                heappush(heap, (job.deadline, seq, lease))
            else:
                return deadline
        return None

    def due(self, serving_ms: int) -> Job | None:
        """A job whose lease has expired; the caller ends the lease before it asks again."""
        deadline = self.next_deadline()
        if deadline is None or deadline > serving_ms:
            return None
        return self._find(self._heap[0][1])

    def _held(self, seq: int, lease: str) -> Job | None:
        job = self._find(seq)
        if job is None or job.status is not JobStatus.IN_PROGRESS or (job.lease or "") != lease:
            return None
        return job

    def _holds(self, entry: tuple[int, int, str]) -> bool:
        return self._held(entry[1], entry[2]) is not None


def one_less(counts: dict[str, int], type_: str) -> None:
    """Count one less of a type; what there is none of is not counted."""
    left = counts[type_] - 1
    if left:
        counts[type_] = left
    else:
        del counts[type_]


def _take(groups: dict[KeyT, dict[str, Job]], key: KeyT, job_id: str) -> None:
    group = groups[key]
    del group[job_id]
    if not group:
        del groups[key]
