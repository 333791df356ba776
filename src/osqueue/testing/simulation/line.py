"""The line of versions of a queue's state object, and the laws that each of them keeps.

Looks at every version in the moment in which it is written, whoever wrote it, and keeps what became
of each job and each lease: the truth that answers are compared with.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from itertools import takewhile
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from osqueue.config import DEFAULT_MAX_ATTEMPTS, QueueLimits
from osqueue.model.invariants import check
from osqueue.model.job import Moment
from osqueue.model.lineage import CommitId
from osqueue.model.snapshot import decode_state
from osqueue.testing.simulation.bucket import Bucket, Written
from osqueue.testing.simulation.descent import Descent, Header
from osqueue.testing.simulation.families import (
    ended_with_a_parent,
    expect_families,
    never_to_run,
)
from osqueue.testing.simulation.following import Commit
from osqueue.testing.simulation.laws import expect
from osqueue.testing.simulation.requests import Requests
from osqueue.testing.simulation.scheduling import ScheduleView, expect_moved_on, is_of_a_time
from osqueue.testing.simulation.served import Served
from osqueue.testing.simulation.storm import PERSON
from osqueue.testing.simulation.watching import Sights

__all__ = ["End", "JobLife", "LeaseLife", "Line", "View"]

WHOLE_EVERY: Final = 16
"""Every so many versions are opened by the real code, and all invariants of the model checked."""


PUNCTUAL: Final = 0.95
"""Of a lease's time-out: a leader's clock may go faster than the world's."""

SLACK_MS: Final = 2_000
"""A commit, or a leader's own step, may take a second each before the time counts as not served: so
a lease that was granted in one that took as long has as much less from when it was durable."""

RENEWED_PER_LEASE: Final = 3
"""How often in the time of a lease those who share a queue write the heartbeats that they get."""

HASTE_US: Final = 10_000_000
"""For so long after a claim was given up its jobs may go back, and look as if never handed out."""


class View(msgspec.Struct, frozen=True, rename="camel"):
    """A job as it stands in the object."""

    id: str
    status: str
    type: str = ""
    attempts: int = 0
    max_attempts: int | None = None
    priority: int = 0
    run_at: int | None = None
    lease: str | None = None
    worker_id: str | None = None
    claim_id: str | None = None
    payload_key: str | None = None
    heartbeat: int | None = None
    after: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()

    @property
    def attempts_allowed(self) -> int:
        return DEFAULT_MAX_ATTEMPTS if self.max_attempts is None else max(1, self.max_attempts)

    @property
    def fresh(self) -> bool:
        """Whether it waits to be handed out for the first time."""
        waits = self.run_at is not None or self.waits_for
        return self.status == "unclaimed" and self.attempts == 0 and not waits


class End(msgspec.Struct, frozen=True):
    """How a job ended, and by which lease."""

    status: str
    lease: str | None
    at_us: int


class LeaseLife(msgspec.Struct):
    """When a lease stood in the object."""

    job_id: str
    attempt: int
    since_us: int
    gone_us: int | None = None
    beat_us: int = 0
    """Since when its heartbeat has stood as it is."""
    told: bool = False
    """Whether its holder has heard of it."""


class JobLife(msgspec.Struct):
    """What became of a job: its views by the time since when they stood."""

    since_us: list[int] = []
    views: list[View | None] = []
    number: int = 0
    """Which one it is of all jobs, by when they came."""
    end: End | None = None

    @property
    def came_us(self) -> int | None:
        """When it first stood in the object, or had ended there."""
        end_us = None if self.end is None else self.end.at_us
        return self.since_us[0] if self.since_us else end_us

    def during(self, from_us: int, to_us: int) -> list[View | None]:
        """The views that stood at any moment of a span; ``None`` where it was not there."""
        first = max(0, bisect_right(self.since_us, from_us) - 1)
        last = bisect_right(self.since_us, to_us)
        before: list[View | None] = (
            [None] if not self.since_us or self.since_us[0] > from_us else []
        )
        return before + self.views[first:last]


class _State(Header, msgspec.Struct, rename="camel"):
    jobs: list[Raw] = []
    finished: list[View] = []
    completed_total: int = 0
    paused: bool = False
    schedules: list[ScheduleView] = []


_Jobs: TypeAlias = dict[str, View]
_state_decoder: Final = msgspec.json.Decoder(_State)
_view_decoder: Final = msgspec.json.Decoder(View)


class Line:
    """All versions so far, as one line of descent."""

    def __init__(
        self,
        limits: QueueLimits,
        requests: Requests,
        bucket: Bucket,
        *,
        edited: set[str],
        served: Served,
    ) -> None:
        self._limits = limits
        self._requests = requests
        self._bucket = bucket
        self._served = served
        self._epoch_us = 0
        self._leader = ""
        """Whose epoch it is."""
        self._edited = edited
        self._known: dict[bytes, View] = {}
        self._descent = Descent()
        self._sights = Sights()
        self._by_hand = False
        """Whether a person wrote the last version: then a commit may have come to nothing."""
        self._shared = False
        """Whether it was written by one who shares the queue."""
        self.versions = 0
        self.last: _State | None = None
        self.jobs: _Jobs = {}
        self.lives: dict[str, JobLife] = {}
        self.leases: dict[str, LeaseLife] = {}
        self.completed_us: dict[str, int] = {}
        """When a lease completed its job, by the lease."""
        self._held: Counter[str | None] = Counter()
        """Jobs that are held, by the claim that brought them."""
        self._written_us: dict[tuple[int, int], int] = {}
        self.commits: dict[tuple[int, int], Commit] = {}
        """What brokers wrote, by the commit's epoch and number."""
        self._moved_now: list[str] = []
        self.well_us: int | None = None
        """Since when nothing goes wrong any more, nor has to be got over."""

    def unfinished(self, wall_ms: int) -> list[View]:
        """Jobs that run, or could by that time: see `never_to_run`."""
        idle = never_to_run(self.jobs, wall_ms)
        return [job for job in self.jobs.values() if job.id not in idle]

    def how_ended(self, job_id: str) -> str | None:
        """How a job has ended, if it has."""
        life = self.lives.get(job_id)
        return None if life is None or life.end is None else life.end.status

    @property
    def outgoing(self) -> int:
        """Ended jobs that have not been archived yet."""
        return 0 if self.last is None else len(self.last.finished)

    def take(self, written: Written) -> None:
        """The next version. Raises `BrokenLawError`."""
        state = _state_decoder.decode(written.data)
        self.versions += 1
        if written.by == PERSON:
            expect(self.last and state.commit == self.last.commit, "a person makes no commits")
        else:
            self._descent.expect_next(state, self.last, by_hand=self._by_hand)
        self._sights.saw(written.life, written.at_us)
        taken_over = self.last is None or (
            self.last.epoch != state.epoch and {self.last.broker, state.broker} != {None}
        )
        if taken_over:
            self._epoch_us, self._leader = written.at_us, written.by
        self._moved_now = []
        jobs = self._read_jobs(state)
        name = CommitId.parse(state.commit)
        assert name is not None
        self._shared = name.shares
        self._compare(state, jobs, written)
        if self.last is not None:
            expect_moved_on(self.last.schedules, state.schedules, self.lives)
        self._by_hand = written.by == PERSON
        self._written_us[name.epoch, name.number] = written.at_us
        if written.by != PERSON:
            moved = tuple(self._moved_now)
            self.commits[name.epoch, name.number] = Commit(
                written.at_us, moved, state.completed_total
            )
        self.last, self.jobs = state, jobs
        if taken_over or self.versions % WHOLE_EVERY == 0:
            check(decode_state(written.data, limits=self._limits, now=Moment(0, 0)))

    def seen(self, life: str, at_us: int) -> None:
        """The object was read in a life of a process."""
        self._sights.saw(life, at_us)

    def how_over(self, job_id: str) -> str | None:
        """How a job has ended, or that it is dead, if that is so."""
        job = self.jobs.get(job_id)
        return "dead" if job is not None and job.status == "dead" else self.how_ended(job_id)

    def over_us(self, job_id: str) -> int | None:
        """Since when it has ended, or been dead, if it has."""
        life = self.lives.get(job_id)
        if life is None or self.how_over(job_id) is None:
            return None
        if life.end is not None:
            return life.end.at_us
        changes = zip(reversed(life.since_us), reversed(life.views), strict=True)
        return min(at for at, view in takewhile(lambda each: _is_dead(each[1]), changes))

    def stood(self, job_id: str, at_us: int) -> str | None:
        """How a job was, after the version of that time."""
        life = self.lives.get(job_id)
        if life is None:
            return None
        view = life.during(at_us, at_us)[-1]
        if view is not None:
            return view.status
        return None if life.end is None or life.end.at_us > at_us else life.end.status

    def changed_by(self, job_id: str, epoch: int, number: int) -> bool:
        """Whether a commit changed a job: then it may have had, and lost, a lease within it."""
        at_us, life = self._written_us.get((epoch, number)), self.lives.get(job_id)
        if at_us is None or life is None:
            return False
        return at_us in life.since_us or (life.end is not None and life.end.at_us == at_us)

    def _read_jobs(self, state: _State) -> _Jobs:
        known: dict[bytes, View] = {}
        for raw in state.jobs:
            text = bytes(raw)
            known[text] = self._known.get(text) or _view_decoder.decode(text)
        self._known = known
        jobs = {view.id: view for view in known.values()}
        expect(len(jobs) == len(state.jobs), "each job stands once in the object")
        return jobs

    # What may become of a job

    def _compare(self, state: _State, jobs: _Jobs, written: Written) -> None:
        ended = self._read_ends(state, jobs, written.at_us)
        came = [view for view in jobs.values() if self.jobs.get(view.id) is not view]
        for view in came:
            self._changed(self.jobs.get(view.id), view, written)
        for view in self.jobs.values():
            if view.id not in jobs:
                expect(view.id in ended, "job %s left the queue without an end", view.id)
                self._moved(view.id, None, view, written)
        for view in came:
            held, most = (
                self._held[view.claim_id],
                self._requests.claims.get(view.claim_id or "", 0),
            )
            expect(view.lease is None or held <= most, "claim %s got %s jobs", view.claim_id, held)
        for view in jobs.values():
            key = view.payload_key
            there = key is None or self._bucket.look(key) is not None
            expect(there, "the payload of job %s is gone: %s", view.id, key)
        expect_families(self.jobs, jobs, self.how_ended)
        if self.last is not None:
            completed = sum(end.status == "completed" for end in ended.values())
            grown = state.completed_total - self.last.completed_total
            expect(grown == completed, "%s jobs completed, and %s were counted", completed, grown)
        if written.by != PERSON:
            self._expect_pause(state, jobs, written.at_us)
            if written.at_us - self._requests.claims_left_us > HASTE_US:
                self._expect_order(jobs)

    def _read_ends(self, state: _State, jobs: _Jobs, at_us: int) -> dict[str, End]:
        """The jobs that ended with this version."""
        ended: dict[str, End] = {}
        for view in state.finished:
            life = self.lives.setdefault(view.id, JobLife())
            expect(view.id not in jobs, "job %s has ended and is queued", view.id)
            if life.end is None:
                life.end = ended[view.id] = End(view.status, view.lease, at_us)
                if view.id not in self.jobs:
                    self._moved_now.append(view.id)
                self._expect_end(view, self.jobs.get(view.id))
                if view.status == "completed" and view.lease is not None:
                    self.completed_us[view.lease] = at_us
            same = (life.end.status, life.end.lease) == (view.status, view.lease)
            expect(same, "job %s ended once: %s, %s", view.id, life.end, view)
        return ended

    def _expect_end(self, end: View, before: View | None) -> None:
        if end.status in {"cancelled", "discarded"}:
            asked = self._requests.cancelled(end.id, end.type) or self._orphaned(end, before)
            expect(asked, "job %s is %s, and nobody asked for that", end.id, end.status)
        if end.status == "completed":
            asked = self._requests.completes[end.lease or ""] > 0
            expect(asked, "job %s is completed, and nobody asked for that", end.id)
            expect(
                before is not None and before.status == "in_progress" and before.lease == end.lease,
                "job %s was completed by lease %s, and %s stood before",
                end.id,
                end.lease,
                before,
            )

    def _orphaned(self, end: View, before: View | None) -> bool:
        """Whether a job ended because one that it waits for did so in the same version."""
        life = self.lives[end.id]
        at_us = None if life.end is None else life.end.at_us

        def how_ended_now(job_id: str) -> str | None:
            parent = self.lives.get(job_id)
            now = parent is not None and parent.end is not None and parent.end.at_us == at_us
            return self.how_ended(job_id) if now else None

        parents = end.after if before is None else before.waits_for
        return end.status == "cancelled" and ended_with_a_parent(parents, how_ended_now)

    def _changed(self, before: View | None, now: View, written: Written) -> None:
        life = self.lives.setdefault(now.id, JobLife())
        life.number = life.number or len(self.lives)
        asked = bool(life.views) or self._requests.submits[now.id] > 0
        asked = asked or is_of_a_time(now.id)
        expect(asked, "job %s is queued, and nobody asked for that", now.id)
        expect(life.end is None, "job %s has ended, and comes back: %s", now.id, now)
        allowed = now.attempts <= now.attempts_allowed
        expect(allowed, "job %s has %s attempts of %s", now.id, now.attempts, now.attempts_allowed)
        expect(
            (now.lease is not None) == (now.status == "in_progress"),
            "a job has a lease while it runs: %s",
            now,
        )
        if written.by == PERSON:
            expect(now.id in self._edited, "a person changes one job")
        elif self._by_hand and before is not None:
            kept = now.priority == before.priority or self._requests.priorities[now.id] > 0
            expect(kept, "what a person changed of job %s was undone", now.id)
        self._moved(now.id, now, before, written)

    def _moved(self, job_id: str, now: View | None, before: View | None, written: Written) -> None:
        life, at_us = self.lives[job_id], written.at_us
        life.since_us.append(at_us)
        life.views.append(now)
        lease = None if now is None else now.lease
        lost = None if before is None else before.lease
        status = None if now is None else now.status
        if lease != lost or status != (None if before is None else before.status):
            self._moved_now.append(job_id)
        if lost is not None and lost != lease:
            assert before is not None
            self.leases[lost].gone_us = at_us
            self._held[before.claim_id] -= 1
            if life.end is None:
                self._expect_reason(lost, before, written)
        if lease is not None and lease != lost:
            assert now is not None
            expect(lease not in self.leases, "lease %s is given once", lease)
            self.leases[lease] = LeaseLife(job_id, now.attempts, at_us, beat_us=at_us)
            self._held[now.claim_id] += 1
        elif lease is not None and before is not None and now is not None:
            self.leases[lease].beat_us = (
                at_us if now.heartbeat != before.heartbeat else self.leases[lease].beat_us
            )

    def _expect_reason(self, lease: str, before: View, written: Written) -> None:
        """A lease that its holder knows of is lost by his own word, or because he was silent for
        the whole time-out since then, and since the leader took over: of the time in which the
        leader served. Without a leader, that is for one to say who has seen for the whole time-out
        that it stands as it did, and did not hear any better himself; others may know of heartbeats
        that need not be written yet.
        """
        asked, life, at_us = self._requests, self.leases[lease], written.at_us
        said_us, held = asked.listed.get(before.worker_id or "", (0, frozenset[str]()))
        stood_ms = (at_us - life.since_us) / 1_000
        orphaned = said_us > life.since_us and lease not in held
        orphaned = orphaned and stood_ms >= self._limits.orphan_after_ms * PUNCTUAL
        if asked.surrenders[lease] > 0 or orphaned or not life.told:
            return
        kept_us = max(life.since_us, asked.kept_us.get(lease, 0), self._epoch_us)
        unserved_us = 0 if self._shared else self._served.lost_us(self._leader, kept_us, at_us)
        silent_ms = (at_us - kept_us - unserved_us) / 1_000
        least_ms = self._limits.lease_timeout_ms
        if self._shared:
            seen_us = self._sights.first_us(written.life, life.beat_us)
            watched_ms = 0.0 if seen_us is None else (at_us - seen_us) / 1_000
            expect(
                watched_ms >= least_ms * PUNCTUAL - SLACK_MS,
                "lease %s was taken away by %s, who had watched it for %.0f ms",
                lease,
                written.life,
                watched_ms,
            )
            foreign = asked.kept_by.get(lease) != written.by
            least_ms -= least_ms // RENEWED_PER_LEASE if foreign else 0
        expect(
            silent_ms >= least_ms * PUNCTUAL - SLACK_MS,
            "lease %s was taken away after %.0f ms of silence, and %.0f ms that were not served",
            lease,
            silent_ms,
            unserved_us / 1_000,
        )

    def _expect_pause(self, state: _State, jobs: _Jobs, at_us: int) -> None:
        """While it is known to be paused, nothing is handed out."""
        paused_us = self._requests.paused_us
        if paused_us is None or paused_us > at_us:
            return
        expect(state.paused, "the queue was paused, and is not any more")
        for before in self.jobs.values():
            now = jobs.get(before.id)
            out = before.lease is None and now is not None and now.lease is not None
            expect(not out, "job %s was handed out while the queue was paused", before.id)

    def _expect_order(self, jobs: _Jobs) -> None:
        """Of jobs that wait for the first time, the lowest priorities are handed out first, and of
        one priority those that came first.
        """
        waiting: dict[str, tuple[int, int]] = {}
        taken: dict[str, tuple[int, int]] = {}
        for place, before in enumerate(self.jobs.values()):
            now = jobs.get(before.id)
            same = now is not None and now.priority == before.priority
            if not (before.fresh and same) or before.id in self._edited:
                continue
            assert now is not None
            rank = (before.priority, place)
            if now.fresh:
                waiting[before.type] = min(rank, waiting.get(before.type, rank))
            elif now.status == "in_progress":
                taken[before.type] = max(rank, taken.get(before.type, rank))
        for type_, rank in taken.items():
            first = waiting.get(type_)
            expect(first is None or rank < first, "%s: %s went out before %s", type_, rank, first)


def _is_dead(view: View | None) -> bool:
    return view is not None and view.status == "dead"
