"""A store with its faults, a leader, its callers and its rivals: all that can happen to a queue.

Ended jobs leave for an archive, step by step, whoever is the leader by then.

The store is honest in one thing only: a write takes effect when its precondition holds, at the
moment when it gets there. Whatever is told about it may be lost, false or late.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec

from osqueue.broker.timetable import CronTimetable
from osqueue.config import QueueLimits
from osqueue.engine.requests import Conflicted, Gone, Held, Write, Written
from osqueue.model.invariants import check
from osqueue.model.job import Moment
from osqueue.model.ops import (
    Claim,
    Complete,
    Drop,
    DropSchedule,
    GetJob,
    GetPayloadKeys,
    Pause,
    Resume,
    Retry,
    Seal,
    Submit,
)
from osqueue.model.outcomes import (
    Claimed,
    Done,
    Grant,
    JobView,
    PayloadKeys,
    Results,
    Sealed,
    Submitted,
)
from osqueue.model.snapshot import decode_state, read_origin
from osqueue.storage.protocol import Stored, Version
from osqueue.testing.simulation.laws.schedules import ScheduleView, expect_moved_on

from ..traces.harness import Trace, named_keys
from ..traces.objects import edited, older, taken_over
from .follower import Follower
from .pausing import Pausing

__all__ = ["World"]

PLACES = ("jobs", "finished")
GOING_ON = ("unclaimed", "in_progress")

LIMITS = QueueLimits(archived=True, dead_max=1)


def schedules_of(whole: Any) -> list[ScheduleView]:
    """Those of a version."""
    return msgspec.convert(whole.get("schedules", []), list[ScheduleView])


class World:
    """One queue's object, and the broker that leads it or believes so."""

    def __init__(self) -> None:
        self.current: Stored | None = None
        self.versions = 0
        self.late: list[Write] = []
        """Writes on their way: they may land at any time from now on, or never."""
        self.known: set[str] = set()
        """Ids of jobs that stand in the current version."""
        self.sound_at: Stored | None = None
        self.ever: set[str] = set()
        """Ids of jobs that stood in any version."""
        self.acked: set[str] = set()
        self.submitted: Counter[str] = Counter()
        self.not_applied: set[str] = set()
        """Ids whose submit was refused, with the word that nothing was applied."""
        self.grants: list[tuple[Held, Grant]] = []
        self.uploaded: set[str] = set()
        """Payload objects that were ever written."""
        self.deleted: set[str] = set()
        """Those given up with a commit, or swept."""
        self.sweeps: dict[Held, set[str]] = {}
        """What was listed before the state was asked."""
        self.epoch = 100
        self.notes = 0
        self.forgot = False
        """Whether somebody has dropped what is remembered of ended jobs."""
        self.outboxes: dict[str, list[str]] = {}
        """By key, the batches that were ever sealed in a version."""
        self.batches: list[Sealed] = []
        """What archivers were told to put into the archive."""
        self.archive: dict[str, list[Any]] = {}
        """By key, the ended jobs of each object."""
        self.superseded: set[Held] = set()
        """Claims that were repeated: whoever came later has what they got."""
        self.position = (0, 0)
        self.awaits: dict[str, Held | None] = {}
        """By job whose end somebody waits for, the look at it; ``None`` while there is none."""
        self.leader = Trace(epoch=self.epoch, limits=LIMITS, timetable=CronTimetable())
        self.pausing = Pausing()
        self.seen = self.told = 0
        self.observer: Follower | None = None
        self.told_last = (0, 0)

    def submit(self, job_id: str, type_: str, after: tuple[str, ...] = ()) -> None:
        self.submitted[job_id] += 1
        self.leader.submit(job_id, type_=type_, after=after)
        self.look()

    def claim(self, *types: str, waits: bool, most: int, claim_id: str | None) -> None:
        """A repeated claim takes the place of the one before, as the engine has it."""
        for held in self.leader.asked:
            if isinstance(held.op, Claim) and None is not claim_id == held.op.claim_id:
                self.superseded.add(held)
                if not held.answered:
                    self.leader.wait_over(held)
        self.leader.claim(*types, waits=waits, most=most, claim_id=claim_id)
        self.look()

    def submit_large(self, job_id: str, type_: str) -> None:
        """With an object of its own, under a key that is never used again."""
        self.submitted[job_id] += 1
        name = f"{job_id}-{len(self.uploaded)}"
        held = self.leader.submit_large(job_id, name=name, type_=type_)
        assert isinstance(held.op, Submit)
        self.uploaded.update(job.large.key for job in held.op.jobs if job.large is not None)
        self.look()

    def pause_or_resume(self, op: Pause | Resume) -> None:
        self.pausing.asked(self.leader.ask(op))
        self.look()

    def schedule(self, name: str, every_ms: int | None) -> None:
        """Somebody wants a job again and again, or no more."""
        if every_ms is None:
            self.leader.ask(DropSchedule(name))
        else:
            self.leader.schedule(name, every_ms=every_ms)
        self.look()

    def sweep(self) -> None:
        """The leader lists what lower epochs have left, and then asks the state."""
        epoch = self.leader.committer.position[0]
        listed = {key for key in self.uploaded if int(key.split("/")[1]) < epoch}
        self.sweeps[self.leader.ask(GetPayloadKeys())] = listed
        self.look()

    def await_end(self, job_id: str) -> None:
        """Somebody waits for a job's end, as `osqueue.broker.end_waits` does it."""
        if self.leader.end is None and job_id not in self.awaits:
            self.leader.awaited.add(job_id)
            self.awaits[job_id] = None
            self.awaits[job_id] = self.leader.ask(GetJob(job_id))
        self.look()

    def forget_wait(self, look: Held) -> None:
        """Whoever waited for an end, and looked like this, has gone."""
        for job_id in [job_id for job_id, held in self.awaits.items() if held is look]:
            del self.awaits[job_id]
            self.leader.awaited.discard(job_id)

    def _wake(self) -> None:
        """Who waits for what has ended looks again."""
        over, self.leader.jobs_over = self.leader.jobs_over, []
        for job_id in over:
            if job_id in self.awaits and self.leader.end is None:
                self.awaits[job_id] = self.leader.ask(GetJob(job_id))

    def _told_of_end(self, held: Held, job_id: str) -> None:
        """A look is answered: the wait is over, or goes on."""
        if self.awaits.get(job_id) is not held:
            return  # there has been a later one
        going_on = isinstance(held.outcome, JobView) and held.outcome.status in GOING_ON
        if held.error is None and going_on:
            self.awaits[job_id] = None
        else:
            del self.awaits[job_id]
            self.leader.awaited.discard(job_id)

    def nobody_waits_in_vain(self) -> None:
        """When all is quiet, who waits still waits for a job that goes on."""
        leader = self.leader
        busy = leader.asks_for() or leader.committer.pending or self.current is None
        if leader.end is not None or busy:
            return
        statuses = {job_id: job["status"] for job_id, job in self._jobs().items()}
        for job_id, look in self.awaits.items():
            waits = look is None and statuses.get(job_id) in GOING_ON
            assert waits, f"{job_id} is {statuses.get(job_id)}, and nobody was told"

    def observe(self, *, wanted: bool) -> None:
        """Somebody comes who wants to be told of every change, or goes."""
        committer = self.leader.committer
        if not wanted:
            self.observer = None
            self.leader.listens_no_more()
        elif committer.leads and self.observer is None:
            self.observer = Follower()
            self.leader.listens()
        self.look()

    # The archive

    def seal(self, jobs_max: int) -> None:
        self.notes += 1
        self.leader.ask(Seal(f"t{self.notes}", jobs_max, 2**20))
        self.look()

    def create(self, number: int) -> None:
        """An archiver's object arrives, perhaps long after its broker has died."""
        batch = self.batches[number % len(self.batches)]
        jobs = [json.loads(line) for line in batch.data.splitlines()]
        assert [job["id"] for job in jobs] == self.outboxes[batch.key], "not what was sealed"
        assert jobs == self.archive.setdefault(batch.key, jobs), "what exists is the same"

    def drop(self, number: int) -> None:
        self.leader.ask(Drop([*self.archive][number % len(self.archive)]))
        self.look()

    def retry(self, job_id: str) -> None:
        """Somebody wants a dead letter back, wherever it is."""
        lines = [job for jobs in self.archive.values() for job in jobs if job["id"] == job_id]
        line = json.dumps(lines[-1]).encode() if lines else None
        self.leader.ask(Retry(job_id))
        self.leader.ask(Retry(job_id, line))
        self.look()

    # The store

    def put(self, write: Write) -> Written | Conflicted | Gone:
        """A write arrives."""
        if self.current is None and write.if_version is not None:
            return Gone()
        at = None if self.current is None else self.current.version
        if write.if_version != at:
            return Conflicted()
        if self.current is not None:
            self._continues(self.current.data, write.data)
        return Written(self.becomes(write.data).version)

    def becomes(self, data: bytes) -> Stored:
        self.versions += 1
        self.current = Stored(data, Version(f"w{self.versions}"))
        self.known = self._known(data)
        self.ever |= self.known
        outbox = json.loads(data).get("outbox")
        if outbox is not None:
            ids = self.outboxes.setdefault(outbox["key"], outbox["ids"])
            assert ids == outbox["ids"], "a sealed batch never changes"
        return self.current

    def lands(self, number: int) -> None:
        """A write that was long on its way arrives."""
        self.put(self.late.pop(number % len(self.late)))

    # What is told about a write

    def tells(self, how: str) -> None:
        """The leader's write meets its fate, and the leader is told about it, or not."""
        write = self.leader.write
        match how:
            case "ok":
                self.leader.writes(self.put(write))
            case "lost request":
                self.leader.unclear()
            case "lost reply":
                self.put(write)
                self.leader.unclear()
            case "late":
                self.late.append(write)
                self.leader.unclear()
            case "busy":
                self.leader.busy()
            case "conflict":
                self.leader.conflicts()
            case "sent twice":
                self.put(write)
                self.leader.conflicts()
        self.look()

    def answers(self, kind: str, *, fails: bool) -> None:
        """A read, check or copy is answered."""
        leader = self.leader
        leader.stored = self.current
        match kind:
            case "ReadBack":
                (leader.fails_to_read if fails else leader.reads)()
            case "Check":
                (leader.fails_to_check if fails else leader.checks)()
            case "Save":
                leader.saves(None if fails else "kept")
        self.look()

    # What others do

    def edit(self) -> None:
        """A person changes something by hand."""
        assert self.current is not None
        self.notes += 1
        self.becomes(edited(self.current.data, note=self.notes))

    def rival(self) -> None:
        """Another broker takes over, and perhaps commits once more."""
        assert self.current is not None
        self.epoch = self._next_epoch()
        self.becomes(taken_over(self.current.data, epoch=self.epoch))

    def rival_commits(self) -> None:
        assert self.current is not None
        self.becomes(edited(self.current.data, commit=f"{self.epoch}-{self.versions}-rival"))

    def older_writes(self) -> None:
        """An older implementation is at work on the object."""
        assert self.current is not None
        self.forgot = True
        self.pausing.forget()
        self.becomes(older(self.current.data))
        self.acked &= self.known

    def vanishes(self) -> None:
        """Somebody removes the object; a creation still on its way is lost with it."""
        self.current = None
        self.late = [write for write in self.late if write.if_version is not None]

    # Leaders come and go

    def crash(self) -> None:
        """The process dies; what it was writing may still arrive."""
        self.late += [action for action in self.leader.todo if isinstance(action, Write)]
        self.begin()

    def begin(self) -> None:
        """The next broker takes the queue."""
        self.epoch = self._next_epoch()
        self.pausing.gone(self.leader.asked)
        self.grants.clear()
        self.seen = self.told = 0
        self.observer = None
        self.awaits.clear()
        now = self.leader.now
        if self.current is None:
            self.pausing.forget()
            data, version = None, "v0"
        else:
            data, version = self.current.data, self.current.version
        self.leader = Trace(
            data,
            version=version,
            epoch=self.epoch,
            start=now,
            limits=LIMITS,
            timetable=CronTimetable(),
        )

    def settle(self) -> None:
        """From here on nothing goes wrong; the leader stops cleanly."""
        self.goes_well(4_000)
        self.nobody_waits_in_vain()
        if self.leader.end is None:
            self.leader.stop()
            self.look()
        self.goes_well(4_000)
        self.leader.finish()

    def goes_well(self, ms: int) -> None:
        """For a while the store does what it is asked, and says so."""
        until = self.leader.now.mono + ms
        while self.leader.end is None and self.leader.now.mono < until:
            for kind in self.leader.asks_for():
                if kind == "Write":
                    self.tells("ok")
                else:
                    self.answers(kind, fails=False)
            ahead = min(self.leader.wake, until) - self.leader.now.mono
            self.leader.passes(1 if self.leader.asks_for() else max(1, ahead))
            self.look()

    def _next_epoch(self) -> int:
        epochs = [self.epoch, self.leader.committer.position[0]]
        if self.current is not None:
            epochs.append(read_origin(self.current.data).epoch or 0)
        return max(epochs) + 1

    # What must hold

    def look(self) -> None:
        """Every answer given since the last look, and the object as it is."""
        answered = self.leader.answered
        for held in answered[self.seen :]:
            self._judge(held)
        self.seen = len(answered)
        self._wake()
        self._hear()
        self.deleted.update(self.leader.discarded)
        if self.current is not None:
            dangling = named_keys(self.current.data) & self.deleted
            assert not dangling, f"deleted, and named in the object: {dangling}"
            lost = self.acked - self.known
            assert not lost, f"acknowledged, and not in the object: {lost}"

    def _hear(self) -> None:
        """What has been told since the last look, in the order of the commits, each once."""
        for at in range(self.told, len(self.leader.told)):
            publish = self.leader.told[at]
            assert publish.told.events is None or publish.position > self.told_last
            assert publish.position >= self.told_last
            self.told_last = publish.position
            if self.observer is not None:
                self.observer.told(publish, self.leader.told_of[at])
        self.told = len(self.leader.told)

    def sound(self) -> None:
        """The object opens, keeps the laws, and nothing in it was done twice."""
        if self.current is None or self.current is self.sound_at:
            return
        self.sound_at = self.current
        now = Moment(self.leader.now.wall, 0)
        check(decode_state(self.current.data, limits=LIMITS, now=now))
        whole = json.loads(self.current.data)
        done = [job["id"] for job in self._ended(whole) if job["status"] == "completed"]
        assert self.forgot or whole["completedTotal"] == len(done)
        if not self.forgot:
            assert len(set(done)) == len(done), "it was fired again after its end"
            self._in_order(whole["jobs"], {*done})
        wrong = [id_ for id_ in self.not_applied & self.ever if self.submitted[id_] == 1]
        assert not wrong, f"told that nothing was applied, and it was: {wrong}"

    def _in_order(self, jobs: list[Any], done: set[str]) -> None:
        """Whoever waits for a job waits until that is completed, and no longer."""
        for job in jobs:
            left = set(job.get("after", ())) - done
            assert set(job.get("waitsFor", ())) == left, f"{job} waits, and {left} are not done"

    def _ended(self, whole: Any) -> list[Any]:
        """Each ended job once: from the archive, and what is not in it yet."""
        outbox = whole.get("outbox") or {"key": "", "ids": ()}
        moved = outbox["ids"] if outbox["key"] in self.archive else ()
        waiting = [job for job in whole.get("finished", ()) if job["id"] not in moved]
        return [*waiting, *(job for jobs in self.archive.values() for job in jobs)]

    def _known(self, data: bytes) -> set[str]:
        whole = json.loads(data)
        archived = {job["id"] for jobs in self.archive.values() for job in jobs}
        stands = {job["id"] for name in PLACES for job in whole.get(name, ())}
        remembered = {job_id for job_id, *_ in whole.get("recent", ())}
        return stands | remembered | archived

    def _continues(self, parent: bytes, child: bytes) -> None:
        """A version is made from the one that it replaces: nothing of that is lost."""
        assert self._known(parent) <= self._known(child)
        before, after = json.loads(parent), json.loads(child)
        self.pausing.continues(before, after)
        assert before.get("note") == after.get("note")
        assert before["completedTotal"] <= after["completedTotal"]
        assert before.get("commit") != after["commit"]
        expect_moved_on(schedules_of(before), schedules_of(after), self._known(child))

    def _judge(self, held: Held) -> None:  # noqa: C901 - one law for each kind of answer
        op, outcome = held.op, held.outcome
        self.pausing.judge(held)
        if isinstance(op, GetJob):
            self._told_of_end(held, op.id)
        if held.error is not None:
            if isinstance(op, Submit) and held.error.applied == "no":
                self.not_applied.add(op.jobs[0].id)
            return
        assert held.position is not None
        assert held.position >= self.position, "answers never go back"
        self.position = held.position
        if isinstance(outcome, PayloadKeys):
            self.deleted |= self.sweeps.pop(held) - outcome.keys
        elif isinstance(outcome, Submitted):
            self.deleted.update(outcome.unused)
        if self.current is None and not held.writes:
            return  # it was there a second ago, which is all that such an answer says
        if isinstance(op, Submit) and isinstance(outcome, Submitted):
            if self.forgot and not held.writes:
                return  # known already, as of a second ago; somebody has dropped it since
            self.acked.update(job.id for job in op.jobs)
        elif isinstance(outcome, Claimed) and held not in self.superseded:
            for grant in outcome.grants:
                self._has_lease(grant)
                self.grants.append((held, grant))
        elif isinstance(outcome, Sealed):
            assert outcome.key in self.outboxes, "sealed, and never durable"
            self.batches.append(outcome)
        elif isinstance(op, Complete) and outcome == Results((Done(),)):
            assert op.refs[0].id not in self._jobs(), "completed, and it is still there"

    def _has_lease(self, grant: Grant) -> None:
        job = self._jobs().get(grant.id)
        if job is None:  # it was cancelled in the same commit
            assert grant.id in self.known, f"{grant} is not in the object"
        else:
            held = job.get("lease") == grant.lease or self._failed(grant)
            assert held, f"{grant}, and {job} stands there"

    def _failed(self, grant: Grant) -> bool:
        """Whether its holder has ended a lease in the commit in which a repeated claim saw it."""
        assert self.current is not None, "answered while nothing is stored"
        ends = json.loads(self.current.data).get("recent", ())
        return any(
            (job_id, how) == (grant.id, "failed") and grant.lease in lease
            for job_id, how, _, *lease in ends
        )

    def _jobs(self) -> dict[str, Any]:
        assert self.current is not None, "answered while nothing is stored"
        return {job["id"]: job for job in json.loads(self.current.data)["jobs"]}
