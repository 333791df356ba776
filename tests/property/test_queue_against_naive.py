"""The queue against a naive one: every outcome is equal, whatever happens in whatever order.

Now and then all that can be seen of both is compared, the state is written and read back, and what
happened since is applied once more to the bytes that were read. Whoever knows only the events comes
to the same jobs.
"""

from __future__ import annotations

import json

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from osqueue.config import QueueLimits, RetryPolicy
from osqueue.model.apply import apply
from osqueue.model.events import EventKind
from osqueue.model.invariants import check
from osqueue.model.job import NO_TERMS, Moment, Terms
from osqueue.model.ops import (
    Cancel,
    Claim,
    Complete,
    Drop,
    Expire,
    Fail,
    Forget,
    GetJob,
    GetStats,
    Heartbeat,
    LeaseRef,
    ListJobs,
    NewJob,
    Op,
    Pause,
    Release,
    Resume,
    Retry,
    Seal,
    SetPriority,
    Submit,
)
from osqueue.model.outcomes import Claimed, Done, Outcome, Sealed
from osqueue.model.snapshot import decode_state, encode_state

from .follower import Replay
from .naive_job import NaiveJob
from .naive_queue import LookOp, NaiveQueue, SimpleOp

LIMITS = QueueLimits(
    lease_timeout_ms=5_000,
    orphan_after_ms=2_000,
    finished_max=3,
    dedupe_window_ms=10_000,
    dedupe_max=4,
    retry=RetryPolicy(base_ms=1_500, max_ms=5_000, jitter=0),
)
ARCHIVING = replace(LIMITS, archived=True, dead_max=2)
ERROR = Raw(b'{"type":"ValueError","message":"no"}')
EMPTY = b'{"broker":null,"brokerHeartbeat":0,"jobs":[],"completedTotal":0}'
OLDER = b"""{"broker":null,"brokerHeartbeat":0,"jobs":[
 {"id":"j0","status":"in_progress","payload":{"n":1},"type":"a","createdAt":5,"attempts":1,
  "workerId":"w1","heartbeat":7},
 {"id":"j1","status":"in_progress","createdAt":6,"attempts":3,"workerId":"w2","heartbeat":7},
 {"id":"j2","status":"unclaimed","payload":null,"createdAt":6,"attempts":2}
],"completedTotal":9}"""
"""What an older implementation wrote: running jobs without leases."""

TELLS: dict[type[Op], set[EventKind]] = {
    Submit: {EventKind.SUBMITTED},
    Claim: {EventKind.CLAIMED},
    Heartbeat: {EventKind.RELEASED, EventKind.PROGRESS},
    Complete: {EventKind.COMPLETED},
    Release: {EventKind.RELEASED},
    Fail: {EventKind.RETRYING, EventKind.DEAD},
    Cancel: {EventKind.CANCELLED, EventKind.DISCARDED},
    Retry: {EventKind.REVIVED},
    Expire: {EventKind.EXPIRED, EventKind.DEAD},
}
"""What each operation can tell of jobs; others tell nothing."""

ids = st.sampled_from([f"j{number}" for number in range(8)])
workers = st.sampled_from(["w1", "w2"])
types = st.sampled_from(["", "a", "b"])
payloads = st.sampled_from([UNSET, Raw(b"null"), Raw(b'{"n":1}')])
priorities = st.sampled_from([0, 0, 0, -1, 5, 2**53 - 1])
new_jobs = st.builds(
    NewJob,
    ids,
    types,
    payloads,
    st.sampled_from([None, None, 0, 1, 2]),
    priorities,
    st.none() | st.integers(1_000_000, 1_020_000),
    terms=st.sampled_from(
        [
            NO_TERMS,
            NO_TERMS,
            Terms(timeout_ms=7, keep_result=True),
            Terms(RetryPolicy(base_ms=0, factor=1.5, max_ms=3_000, jitter=0)),
            Terms(RetryPolicy(base_ms=100, factor=9.0, max_ms=900, jitter=0), keep_result=True),
        ]
    ),
    after=st.just(()) | st.lists(ids, max_size=3, unique=True).map(tuple),
)
batches = st.lists(new_jobs, min_size=1, max_size=4)
refs = st.tuples(ids, st.sampled_from(["held", "held", "held", "old", "none", "bogus"]))
ref_lists = st.lists(refs, max_size=4)
results = st.sampled_from([UNSET, Raw(b"null"), Raw(b'{"sum":[1,2]}')])
progresses = st.sampled_from([None, Raw(b'{"done":1}'), Raw(b'{"done":2,"note":"more"}')])
caps = st.lists(st.tuples(types, st.integers(0, 2)), max_size=3, unique_by=lambda each: each[0])

OVER = {EventKind.COMPLETED, EventKind.DEAD, EventKind.CANCELLED, EventKind.DISCARDED}
"""What whoever waits for a job's end is to be told."""


def older_jobs() -> list[NaiveJob]:
    return [
        NaiveJob(
            "j0",
            "a",
            Raw(b'{"n":1}'),
            5,
            status="in_progress",
            attempts=1,
            worker="w1",
            heartbeat=7,
        ),
        NaiveJob("j1", "", UNSET, 6, status="in_progress", attempts=3, worker="w2", heartbeat=7),
        NaiveJob("j2", "", Raw(b"null"), 6, attempts=2),
    ]


class QueueAgainstNaive(RuleBasedStateMachine):
    limits = LIMITS

    def __init__(self) -> None:
        super().__init__()
        self.now = Moment(1_000_000, 500)
        self.naive = NaiveQueue(self.limits)
        self.seed = 0
        self.leases: dict[str, list[str]] = {}
        """By job, the leases ever granted on it."""
        self.open(EMPTY)

    @initialize(older=st.booleans())
    def begin(self, *, older: bool) -> None:
        if older:
            self.naive.jobs = older_jobs()
            self.naive.completed_total = 9
            self.open(OLDER)

    def open(self, data: bytes) -> None:
        self.base, self.opened = data, self.now
        self.history: list[tuple[Op, Moment, Outcome]] = []
        self.state = decode_state(data, limits=self.limits, now=self.now)
        self.naive.reload(self.now)
        self.state.record(whole=True)
        self.state.awaited = {f"j{number}" for number in range(8)}
        self.replay = Replay({job.id: job.status for job in self.naive.jobs})

    def do(self, op: SimpleOp) -> None:
        wanted = self.naive.apply(op, self.now)
        got = apply(self.state, op, self.now)
        assert got == wanted
        self.hear(op)
        self.history.append((op, self.now, got))
        for grant in got.grants if isinstance(got, Claimed) else ():
            held = self.leases.setdefault(grant.id, [])
            if grant.lease not in held:
                held.append(grant.lease)

    def hear(self, op: Op) -> None:
        """What an operation tells is what has become of jobs."""
        assert self.state.events is not None
        events = self.state.events.cut() or ()
        for event in events:
            assert event.kind in TELLS[type(op)]
            assert event.at == self.now.wall
            self.replay.step(event.kind, event.job_id)
        over = [event.job_id for event in events if event.kind in OVER]
        assert self.state.take_over() == over
        self.replay.expect({job.id: job.status for job in self.naive.jobs})

    def ref(self, chosen: tuple[str, str]) -> LeaseRef:
        job_id, kind = chosen
        granted = self.leases.get(job_id, [])
        if kind == "none" or (kind != "bogus" and not granted):
            return LeaseRef(job_id)
        known = {"held": granted[-1:], "old": granted[:1], "bogus": ["bogus"]}
        return LeaseRef(job_id, known[kind][0])

    def all_refs(self, chosen: list[tuple[str, str]]) -> tuple[LeaseRef, ...]:
        return tuple(map(self.ref, chosen))

    @rule(wall=st.integers(-3_000, 8_000), serving=st.integers(0, 4_000))
    def time_passes(self, wall: int, serving: int) -> None:
        self.now = Moment(self.now.wall + wall, self.now.serving + serving)

    @rule(batch=batches)
    def submit(self, batch: list[NewJob]) -> None:
        self.do(Submit(tuple(batch)))

    @rule(
        worker=workers,
        wanted=st.none() | st.lists(types, min_size=1, max_size=3),
        most=st.integers(1, 4),
        claim_id=st.none() | st.sampled_from(["c1", "c2"]),
        capped=st.just([]) | caps,
    )
    def claim(
        self,
        worker: str,
        wanted: list[str] | None,
        most: int,
        claim_id: str | None,
        capped: list[tuple[str, int]],
    ) -> None:
        self.seed += 1
        chosen = None if wanted is None else tuple(wanted)
        self.do(Claim(worker, f"seed{self.seed}", chosen, most, claim_id, tuple(capped)))

    @rule(worker=workers, chosen=ref_lists, complete=st.booleans(), told=progresses)
    def heartbeat(
        self, worker: str, chosen: list[tuple[str, str]], *, complete: bool, told: Raw | None
    ) -> None:
        progress = () if told is None else (told,) * len(chosen)
        self.do(Heartbeat(worker, self.all_refs(chosen), complete, progress))

    @rule(worker=workers, chosen=ref_lists, result=results)
    def complete(self, worker: str, chosen: list[tuple[str, str]], result: Raw | UnsetType) -> None:
        brought = () if result is UNSET else (result,) * len(chosen)
        self.do(Complete(worker, self.all_refs(chosen), brought))

    @rule(worker=workers, chosen=ref_lists)
    def release(self, worker: str, chosen: list[tuple[str, str]]) -> None:
        self.do(Release(worker, self.all_refs(chosen)))

    @rule(
        worker=workers,
        chosen=refs,
        retry=st.booleans(),
        delay=st.sampled_from([0, 0, 4_000, None, None]),
    )
    def fail(self, worker: str, chosen: tuple[str, str], *, retry: bool, delay: int | None) -> None:
        self.do(Fail(worker, self.ref(chosen), ERROR, retry, delay))

    @rule(
        chain=st.lists(ids, min_size=2, max_size=5, unique=True),
        steps=st.lists(st.sampled_from(["done", "fails", "cancel", "again", "time"]), max_size=6),
        forks=st.booleans(),
        delay=st.none() | st.integers(0, 3_000),
    )
    def workflow(
        self, chain: list[str], steps: list[str], *, forks: bool, delay: int | None
    ) -> None:
        """A chain of jobs, or a fork, of which the first is worked off, and something happens."""
        run_at = None if delay is None else self.now.wall + delay
        after = [(), *[(chain[0] if forks else before,) for before in chain[:-1]]]
        made = zip(chain, after, strict=True)
        self.do(Submit(tuple([NewJob(each, run_at=run_at, after=names) for each, names in made])))
        for step in steps:
            if step == "time":
                self.now = Moment(self.now.wall + 1_000, self.now.serving + 1_000)
            elif step in {"done", "fails"}:
                self.claim("w1", None, 1, None, [])
                for job in list(self.naive.held):
                    if step == "done":
                        self.complete("w1", [(job.id, "held")], UNSET)
                    else:
                        self.fail("w1", (job.id, "held"), retry=False, delay=0)
            else:
                (self.cancel if step == "cancel" else self.retry)(chain[0])

    @rule(job_id=ids)
    def cancel(self, job_id: str) -> None:
        self.do(Cancel(job_id))

    @rule(job_id=ids)
    def retry(self, job_id: str) -> None:
        self.do(Retry(job_id))

    @rule(job_id=ids, priority=priorities)
    def set_priority(self, job_id: str, priority: int) -> None:
        self.do(SetPriority(job_id, priority))

    @rule(
        batch=batches,
        moves=st.lists(st.tuples(ids, priorities), min_size=2, max_size=9),
        delay=st.sampled_from([0, 4_000]),
    )
    def order_changes(self, batch: list[NewJob], moves: list[tuple[str, int]], delay: int) -> None:
        """While some wait, some are held, and some have been given back."""
        self.do(Submit(tuple(batch)))
        for at, (job_id, priority) in enumerate(moves):
            self.set_priority(job_id, priority)
            if at % 3 == 1:
                self.claim("w1", None, 1, None, [])
                for job in list(self.naive.held):
                    self.fail("w1", (job.id, "held"), retry=True, delay=delay)
                    self.set_priority(job.id, moves[0][1])
        self.claim("w2", None, 2, None, [])

    @rule(op=st.sampled_from([Pause(), Resume(), Resume(), Resume()]))
    def pause_or_resume(self, op: Pause | Resume) -> None:
        self.do(op)

    @rule(op=st.sampled_from([Expire(), Forget()]))
    def tick(self, op: Expire | Forget) -> None:
        self.do(op)

    @rule(
        status=st.sampled_from(
            [None, "unclaimed", "ready", "delayed", "waiting", "in_progress", "dead"]
        ),
        type_=st.none() | types,
        text=st.sampled_from([None, "", "J1", "w", "e", "no such text"]),
        newest_first=st.booleans(),
    )
    def look_at_all(
        self, status: str | None, type_: str | None, text: str | None, *, newest_first: bool
    ) -> None:
        self.compare(ListJobs(100, None, status, type_, text, newest_first=newest_first))

    def compare(self, listing: ListJobs = ListJobs(100)) -> None:  # noqa: B008 - frozen
        jobs = [GetJob(f"j{number}") for number in range(8)]
        looks: list[LookOp] = [GetStats(), listing, *jobs]
        for look in looks:
            got = apply(self.state, look, self.now)
            assert got == self.naive.look(look, self.now)
            self.history.append((look, self.now, got))

    @rule()
    def write_and_read_back(self) -> None:
        data = encode_state(self.state)
        self.open(data)
        assert encode_state(self.state) == data
        self.compare()

    @rule()
    def apply_all_again(self) -> None:
        self.check_history()

    def check_history(self) -> None:
        again = decode_state(self.base, limits=self.limits, now=self.opened)
        for op, now, outcome in self.history:
            assert apply(again, op, now) == outcome
        assert encode_state(again) == encode_state(self.state)

    @invariant()
    def laws_hold(self) -> None:
        check(self.state)

    def teardown(self) -> None:
        self.compare()
        self.check_history()


class ArchivingQueueAgainstNaive(QueueAgainstNaive):
    """Ended jobs wait for an archive, and dead letters leave with them."""

    limits = ARCHIVING

    def __init__(self) -> None:
        super().__init__()
        self.open_batch: Sealed | None = None
        self.archive: dict[str, tuple[bytes, NaiveJob]] = {}
        """By id, the last entry in the archive."""

    def note(self, op: Op) -> Outcome:
        """Have an operation applied, when the naive queue has been told."""
        got = apply(self.state, op, self.now)
        self.history.append((op, self.now, got))
        self.hear(op)
        return got

    @rule(chosen=st.lists(ids, min_size=1, max_size=4))
    def jobs_die(self, chosen: list[str]) -> None:
        for job_id in chosen:
            self.do(Submit((NewJob(job_id),)))
        self.claim("w1", None, 8, None, [])
        for job_id in chosen:
            self.fail("w1", (job_id, "held"), retry=False, delay=0)

    @rule(most=st.integers(1, 3))
    def seal(self, most: int) -> None:
        self.seed += 1
        wanted = self.naive.seal(most)
        got = self.note(Seal(f"t{self.seed}", most, 2**20))
        if not wanted:
            assert got == Done()
            return
        assert isinstance(got, Sealed)
        assert [json.loads(line)["id"] for line in got.data.splitlines()] == wanted
        assert self.open_batch in {None, got}, "a sealed batch never changes"
        self.open_batch = got

    @precondition(lambda self: self.open_batch is not None)
    @rule()
    def drop(self) -> None:
        assert self.open_batch is not None
        lines = self.open_batch.data.splitlines()
        for line, job in zip(lines, self.naive.drop(), strict=True):
            self.archive[job.id] = (line, job)
        assert self.note(Drop(self.open_batch.key)) == Done()
        self.open_batch = None

    @precondition(lambda self: self.archive)
    @rule(number=st.integers(0, 7))
    def retry_archived(self, number: int) -> None:
        line, job = [*self.archive.values()][number % len(self.archive)]
        if job.status == "dead":
            wanted = self.naive.retry_archived(job)
            assert self.note(Retry(job.id, line)) == wanted

    @rule(job_id=ids, most=st.integers(1, 8))
    def archived_and_wanted_back(self, job_id: str, most: int) -> None:
        self.seal(most)
        self.retry(job_id)
        if self.open_batch is not None:
            self.drop()
        if job_id in self.archive:
            self.retry_archived([*self.archive].index(job_id))


ArchivingQueueAgainstNaive.TestCase.settings = settings(max_examples=200, stateful_step_count=50)
TestArchivingQueueAgainstNaive = ArchivingQueueAgainstNaive.TestCase
QueueAgainstNaive.TestCase.settings = settings(max_examples=200, stateful_step_count=50)
TestQueueAgainstNaive = QueueAgainstNaive.TestCase
