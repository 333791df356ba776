"""A committer in the hand of a test: one line an event, and time that moves when told.

After every event it does what the runner does (tick, begin when a commit is wanted, take, ask for
the next wake), and checks what must hold at any time: nobody is answered twice, the state keeps its
laws, and a wake that is due has something to do.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from msgspec import Raw

from osqueue.broker.waiting import WaitingClaims
from osqueue.config import CommitSettings, LeadershipSettings, QueueLimits
from osqueue.engine.committer import Committer, Phase
from osqueue.engine.fate import Base
from osqueue.engine.firing import Firing
from osqueue.engine.intake import Intake, read_state
from osqueue.engine.requests import (
    Action,
    Check,
    Conflicted,
    Discard,
    End,
    Failed,
    Found,
    Gone,
    Held,
    Instant,
    JobsOver,
    Landed,
    Notice,
    Publish,
    ReadBack,
    ReadResult,
    Save,
    Unapplied,
    Unchanged,
    Unclear,
    Write,
    WriteResult,
    Written,
)
from osqueue.engine.tenure import Identity, Tenure
from osqueue.errors import OsqueueError
from osqueue.model.invariants import check
from osqueue.model.job import LargePayload, Moment
from osqueue.model.ops import (
    Cancel,
    Claim,
    Complete,
    Fail,
    GetStats,
    Heartbeat,
    LeaseRef,
    NewJob,
    Op,
    Pause,
    PutSchedule,
    Resume,
    SetPriority,
    Submit,
)
from osqueue.model.outcomes import Claimed, Grant, Outcome
from osqueue.model.schedules import Schedule, Timetable
from osqueue.model.snapshot import read_origin
from osqueue.storage.protocol import Stored, Version

__all__ = ["EPOCH", "START", "Trace", "named_keys"]

START = Instant(1_800_000_000_000, 5_000)
EPOCH = 100
STEPS_MAX = 5
"""Steps at one moment after which a machine that still wants another is in a busy loop."""

ActionT = TypeVar("ActionT", Write, ReadBack, Check, Save)


def named_keys(data: bytes) -> set[str]:
    """The payload objects that a state object names."""
    return {job["payloadKey"] for job in json.loads(data)["jobs"] if "payloadKey" in job}


class Trace:
    """One writer from the taking of its place on. ``data``: the object that it finds, if any.

    ``tenure``: by which right it writes; a leader of ``epoch`` otherwise. ``timetable``: when
    schedules come, if they are to.
    """

    def __init__(
        self,
        data: bytes | None = None,
        *,
        version: str = "v0",
        commit: CommitSettings | None = None,
        leadership: LeadershipSettings | None = None,
        limits: QueueLimits | None = None,
        jitter: float = 0.0,
        epoch: int = EPOCH,
        start: Instant = START,
        ready_at: int = 0,
        tenure: Tenure | None = None,
        timetable: Timetable | None = None,
    ) -> None:
        self.now = start
        self.encode_us = 0
        self.ready_at = ready_at
        """When the store would like to be written, as a throttle says."""
        self.wakes = 0
        self.wake = 0
        self.stored = None if data is None else Stored(data, Version(version))
        """What the object is, as far as the test has said."""
        self.todo: list[Write | ReadBack | Check | Save] = []
        self.notices: list[Notice] = []
        self.landed: list[Landed] = []
        self.told: list[Publish] = []
        """What was told of durable commits."""
        self.told_of: list[bytes | None] = []
        """And the object as each of them left it, unless it is over."""
        self.discarded: list[str] = []
        """Payload objects that were given up."""
        self.awaited: set[str] = set()
        """Jobs whose end somebody waits for."""
        self.jobs_over: list[str] = []
        """Those of them that have ended, durable or not."""
        self.asked: list[Held] = []
        self.gone: set[Held] = set()
        """Whose callers have gone away."""
        self.answered: list[Held] = []
        self._versions = self._seeds = 0
        self._epoch = epoch if tenure is None else tenure.epoch
        self._name = "lease" if tenure is None else f"{tenure.commit_id(0)}/"
        self._new = True
        """Whether something has happened since the laws were looked at."""
        base = None
        if self.stored is not None:
            base = Base(self.stored.version, self.stored.data, read_origin(self.stored.data).commit)
        moment = Moment(start.wall, start.mono)
        settings = commit or CommitSettings()
        state = read_state(data, limits or QueueLimits(), moment=moment, generation="g")
        self.intake = Intake(
            state, data, waiting=WaitingClaims(), settings=settings, awaited=self.awaited
        )
        self.committer = Committer(
            self.intake,
            base,
            identity=tenure or Identity(epoch, "me:1", "me", 3_000),
            jitter=lambda: jitter,
            commit=settings,
            leadership=leadership or LeadershipSettings(),
            now=start,
            firing=None if timetable is None else Firing(timetable),
        )
        self._step()

    # What happened

    @property
    def end(self) -> End | None:
        return self.committer.ended

    @property
    def over(self) -> End:
        """How it ended, which it must have."""
        assert self.committer.ended is not None, "it goes on"
        return self.committer.ended

    @property
    def goes_on(self) -> bool:
        return self.committer.ended is None

    @property
    def data(self) -> bytes:
        """The object's bytes as they are, of an object that is there."""
        assert self.stored is not None, "there is no object"
        return self.stored.data

    @property
    def phase(self) -> Phase:
        return self.committer.phase

    @property
    def write(self) -> Write:
        """The write under way."""
        return self._only(Write)

    @property
    def commit_id(self) -> str:
        """The id of the commit that is being written."""
        commit = read_origin(self.write.data).commit
        assert commit is not None
        return commit

    def asks_for(self) -> list[str]:
        """What the store has been asked and has not answered, by name."""
        return [type(action).__name__ for action in self.todo]

    def waits(self, held: Held) -> bool:
        """Whether a request has not been answered."""
        return held not in self.answered

    def outcome(self, held: Held) -> Outcome:
        """The answer to a request, which must have been given and be no error."""
        assert held in self.answered, f"{held.op} has not been answered"
        assert held.error is None, f"{held.op} was refused: {held.error!r}"
        assert held.outcome is not None
        return held.outcome

    def grants(self, held: Held) -> tuple[Grant, ...]:
        """What a claim got."""
        outcome = self.outcome(held)
        assert isinstance(outcome, Claimed)
        return outcome.grants

    def refusal(self, held: Held) -> OsqueueError:
        """The error that a request was answered with."""
        assert held in self.answered, f"{held.op} has not been answered"
        assert held.error is not None, f"{held.op} was not refused: {held.outcome!r}"
        return held.error

    # Requests

    def ask(self, op: Op, *, waits: bool = False, consistent: bool = False, size: int = 0) -> Held:
        held = Held(op=op, waits=waits, consistent=consistent, size=size)
        self.asked.append(held)
        self.committer.arrive(held, self.now)
        self._after()
        return held

    def submit(self, *job_ids: str, type_: str = "", after: tuple[str, ...] = ()) -> Held:
        return self.ask(Submit(tuple(NewJob(job_id, type_, after=after) for job_id in job_ids)))

    def submit_large(self, job_id: str, *, name: str | None = None, type_: str = "") -> Held:
        """With a payload object, under the epoch that leads now."""
        key = f"payloads/{self.committer.position[0]}/{name or job_id}"
        return self.ask(Submit((NewJob(job_id, type_, large=LargePayload(key, 100_000, 1)),)))

    def key(self, job_id: str) -> str:
        """The object of a job that was submitted under the first epoch."""
        return f"payloads/{self._epoch}/{job_id}"

    def claim(
        self,
        *types: str,
        worker: str = "w",
        waits: bool = False,
        most: int = 1,
        claim_id: str | None = None,
    ) -> Held:
        self._seeds += 1
        claim = Claim(
            worker, f"{self._name}{self._epoch}.{self._seeds}", types or None, most, claim_id
        )
        return self.ask(claim, waits=waits)

    def complete(self, grant: Grant) -> Held:
        return self.ask(Complete("w", (LeaseRef(grant.id, grant.lease),)))

    def fail(self, grant: Grant) -> Held:
        """For good: the job is dead."""
        return self.ask(
            Fail("w", LeaseRef(grant.id, grant.lease), Raw(b'{"type":"E"}'), retry=False)
        )

    def heartbeat(self, grant: Grant) -> Held:
        return self.ask(Heartbeat("w", (LeaseRef(grant.id, grant.lease),)))

    def cancel(self, job_id: str) -> Held:
        return self.ask(Cancel(job_id))

    def pauses(self) -> Held:
        """Somebody pauses the queue."""
        return self.ask(Pause())

    def resumes(self) -> Held:
        return self.ask(Resume())

    def set_priority(self, job_id: str, priority: int) -> Held:
        return self.ask(SetPriority(job_id, priority))

    def schedule(self, name: str, *, every_ms: int, **fields: Any) -> Held:
        """Somebody wants a job again and again, from an interval after now on."""
        times = {"every_ms": every_ms, "next_at": self.now.wall + every_ms, "created_at": 0}
        return self.ask(PutSchedule(Schedule(name=name, **(times | fields))))

    def stats(self, *, consistent: bool = False) -> Held:
        return self.ask(GetStats(), consistent=consistent)

    def wait_over(self, held: Held) -> None:
        self.committer.wait_over(held, self.now)
        self._after()

    def withdraw(self, held: Held) -> None:
        """The caller goes away."""
        self.gone.add(held)
        self.committer.withdraw(held, self.now)
        self._after()

    def watched(self) -> None:
        """A standby asks who leads."""
        self.committer.pulse.watch(self.now.mono)
        self._after()

    def listens(self) -> None:
        """Somebody wants to know from now on what becomes of jobs."""
        self.committer.listen(wanted=True)
        self._after()

    def listens_no_more(self) -> None:
        self.committer.listen(wanted=False)
        self._after()

    @property
    def events(self) -> list[list[str] | None]:
        """What each commit told: ``kind id`` of each event; ``None``: not known."""
        told = [publish.told.events for publish in self.told]
        return [
            None if events is None else [f"{event.kind} {event.job_id}" for event in events]
            for events in told
        ]

    def stop(self) -> None:
        self.committer.stop(self.now)
        self._after()

    def abandon(self) -> None:
        self.committer.abandon(self.now)
        self._after()

    # Time

    def pause(self, ms: int) -> None:
        """Time passes in which the process does not run."""
        self.now = Instant(self.now.wall + ms, self.now.mono + ms)

    def passes(self, ms: int) -> None:
        """Time passes, and the machine is woken once, at its end."""
        self.pause(ms)
        self._step()

    def runs(self, ms: int) -> None:
        """Time passes, and the machine is woken whenever it wants."""
        until = self.now.mono + ms
        while self.end is None and self.wake < until:
            self.wakes += 1
            self.passes(self.wake - self.now.mono)
        self.passes(until - self.now.mono)

    def event_then_pause(self, ms: int) -> None:
        """The process stands still between an event and the step that follows it."""
        self.committer.checked(Failed("late"), Check(Version("none"), 0, 0), self.now)
        self._take()
        self.passes(ms)

    def wall_steps(self, ms: int) -> None:
        """The wall clock is set."""
        self.now = Instant(self.now.wall + ms, self.now.mono)

    def settles(self) -> None:
        """The store does all that it has been asked, and says so."""
        while self.todo:
            match self.todo[0]:
                case Write():
                    self.ok()
                case Check():
                    self.checks()
                case ReadBack():
                    self.reads()
                case Save():
                    self.saves("kept")

    def goes_well(self, ms: int) -> None:
        """Time passes, and the store does at once whatever it is asked."""
        until = self.now.mono + ms
        while self.now.mono < until:
            self.runs(max(1, min(self.wake, until) - self.now.mono))
            self.settles()

    def unless_heard(self, ms: int) -> None:
        """Time passes, and the store fails whatever it is asked."""
        until = self.now.mono + ms
        while self.now.mono < until:
            if self.phase is Phase.WRITING:
                self.unclear()
            elif "Check" in self.asks_for():
                self.fails_to_check()
            self.runs(min(50, until - self.now.mono))

    # The store's answers

    def ok(self) -> None:
        """The write was applied, and the answer says so."""
        write = self.write
        self.lands(write)
        assert self.stored is not None
        self.writes(Written(self.stored.version))

    def lands(self, write: Write) -> None:
        """A write takes effect; what is told about it is another matter."""
        self.puts(write.data)

    def puts(self, data: bytes) -> Stored:
        """Somebody has written the object."""
        self._versions += 1
        self.stored = Stored(data, Version(f"v{self._versions}"))
        return self.stored

    def vanishes(self) -> None:
        """Somebody has removed the object."""
        self.stored = None

    def writes(self, result: WriteResult) -> None:
        self._pop(Write)
        self.committer.written(result, self.now)
        self._after()

    def unclear(self) -> None:
        self.writes(Unclear("it timed out"))

    def conflicts(self) -> None:
        self.writes(Conflicted())

    def unapplied(self, why: str = "it is not reached") -> None:
        self.writes(Unapplied(why))

    def busy(self) -> None:
        """The store asks to slow down."""
        self.writes(Unapplied("slow down", busy=True))

    def missing(self) -> None:
        self.writes(Gone())

    def reads(self) -> None:
        """The conflict is read back: the object as it is."""
        self.read_back(self._looked_at(self._only(ReadBack).unless))

    def fails_to_read(self) -> None:
        self.read_back(Failed("it timed out"))

    def read_back(self, result: ReadResult) -> None:
        self._pop(ReadBack)
        self.committer.read_back(result, self.now)
        self._after()

    def checks(self) -> None:
        """The check is answered with the object as it is."""
        self.checked(self._looked_at(self._only(Check).unless))

    def _looked_at(self, unless: Version | None) -> ReadResult:
        if self.stored is None:
            return Gone()
        return Unchanged() if self.stored.version == unless else Found(self.stored)

    def changes(self, data: bytes) -> None:
        """Somebody has written the object, and the write under way finds it so."""
        self.puts(data)
        self.conflicts()
        self.reads()

    def fails_to_check(self) -> None:
        self.checked(Failed("it timed out"))

    def checked(self, result: ReadResult) -> None:
        check_ = self._pop(Check)
        self.committer.checked(result, check_, self.now)
        self._after()

    def saves(self, where: str | None) -> Save:
        save = self._pop(Save)
        self.committer.saved(where, self.now)
        self._after()
        return save

    def finish(self) -> None:
        """End it, and look whether everybody was answered exactly once."""
        if self.end is None:
            self.abandon()
        for held in self.asked:
            assert held in self.gone or held in self.answered, f"{held.op} was never answered"

    # Inside

    def _after(self) -> None:
        self._new = True
        self._take()
        self._step()

    def _step(self) -> None:
        """What the runner does: at one moment, until the next wake lies ahead."""
        for _ in range(STEPS_MAX):
            self._once()
            if self.end is not None:
                return
            self.wake = self.committer.next_wake(self.now)
            if self.wake > self.now.mono:
                return
        raise AssertionError(f"a busy loop: woken again and again at {self.now.mono}")

    def _once(self) -> None:
        self.committer.tick(self.now)
        if self.committer.wants_commit(self.now):
            self.committer.hold_back(self.ready_at)
        if self.committer.wants_commit(self.now):
            self.committer.begin(self.now)
            self.committer.encode_took(self.encode_us)
        self._take()

    def _take(self) -> None:
        actions, answers = self.committer.take()
        for held in answers:
            assert held not in self.answered, f"{held.op} was answered twice"
            assert held.answered
            assert (held.error is None) is not (held.outcome is None)
            self.answered.append(held)
        for action in actions:
            self._note(action)
        if actions or answers or self._new:
            self._new = False
            self._keeps_the_laws()

    def _keeps_the_laws(self) -> None:
        check(self.intake.state)
        writes = any(held.writes for held in self.intake.pending)
        assert self.end is not None or self.intake.dirty is writes, "dirty is what needs a commit"
        if not self.intake.state.paused:
            self._nobody_waits_in_vain()

    def _nobody_waits_in_vain(self) -> None:
        assert isinstance(self.intake.waiting, WaitingClaims)
        for held in self.intake.waiting:
            assert isinstance(held.op, Claim)
            assert not self.intake.state.ready.has(held.op.types), f"{held.op} could have a job"

    def _note(self, action: Action) -> None:
        if isinstance(action, Notice):
            self.notices.append(action)
        elif isinstance(action, Landed):
            self.landed.append(action)
        elif isinstance(action, Publish):
            self.told.append(action)
            self.told_of.append(None if self.end is not None else self.committer.durable)
        elif isinstance(action, Discard):
            self.discarded += action.keys
            assert named_keys(self.committer.durable).isdisjoint(action.keys), "given up too early"
        elif isinstance(action, JobsOver):
            self.jobs_over += action.ids
        elif not isinstance(action, End):
            assert type(action) not in map(type, self.todo), "one of a kind at a time"
            self.todo.append(action)

    def _only(self, kind: type[ActionT]) -> ActionT:
        found = [action for action in self.todo if isinstance(action, kind)]
        assert found, f"no {kind.__name__} is under way, but {self.todo}"
        return found[0]

    def _pop(self, kind: type[ActionT]) -> ActionT:
        action = self._only(kind)
        self.todo.remove(action)
        return action
