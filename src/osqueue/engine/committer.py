"""Group commit as a pure machine: events in, actions out; no I/O, no clock, no randomness.

An operation is applied when it arrives; its answer is held until the commit that contains it is
durable. While a write is under way, later operations form the next commit. The laws:

- A commit's bytes are fixed with its id until its fate is known; never is the next one built on
  an unresolved one.
- A write whose fate is unknown is put again, the same bytes with the same precondition. Reading
  the old version back proves nothing: a late write can still land.
- After a conflict, what stands in the object decides (`osqueue.engine.fate`).
- An operation whose fate is unknown is never applied again by us; its caller is told.
- What needs no write is answered when all that it saw is durable and leadership is confirmed.
- Every request is answered exactly once.
- Beside a leader nobody writes; those who share a queue go on from each other's versions
  (`osqueue.engine.tenure`).
- What becomes of jobs is told only when the commit that contains it is durable, and told once.
- A payload object is given up only when the commit that ended its job is durable.
- The job of a schedule's time goes into the commit that moves the schedule on
  (`osqueue.engine.firing`).

It is one machine in one file, longer than others because its phases are read together. The
runner calls one method per event, then `take`, and performs what that gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from itertools import chain
from typing import Final

import msgspec

from osqueue.config import CommitSettings, LeadershipSettings
from osqueue.engine.fate import Base, Fate, Finding, Verdict, judge
from osqueue.engine.firing import Firing
from osqueue.engine.intake import Intake
from osqueue.engine.pacing import NEVER, Pacing
from osqueue.engine.pulse import Pulse
from osqueue.engine.refusals import (
    stopping_error,
    unconfirmed_error,
    unknown_error,
)
from osqueue.engine.requests import (
    BEFORE,
    Action,
    Check,
    Conflicted,
    Discard,
    End,
    EndReason,
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
from osqueue.engine.serving import ServingClock
from osqueue.engine.tenure import Identity, Sharing, Tenure
from osqueue.errors import CorruptStateError, OsqueueError
from osqueue.model.ends import EndMemory
from osqueue.model.events import Told
from osqueue.model.job import Moment
from osqueue.model.lineage import CommitId
from osqueue.model.ops import Claim, Expire, Forget, Lead, LeaseRef, Release, Resign, Share
from osqueue.model.outcomes import Claimed, Grant
from osqueue.model.queries import Depths, depths
from osqueue.model.snapshot import Origin, encode_state, read_origin
from osqueue.model.tally import Tally
from osqueue.model.watch import Watch

__all__ = ["PHASES", "Committer", "Identity", "Phase"]

PATROL_MS = 250
"""How often it is looked for requests that have waited too long."""

HANG_MS = 1_000
"""A write without an answer for this long counts as unresolved time."""

LOOKS_MISSED_MAX = 5
"""Who shares a queue and has not seen it for as many looks takes no leases back: what it knows may
be long gone, and its write would only fail."""

_FAR = 2**62


class Phase(StrEnum):
    """Where the write side stands."""

    READY = "ready"
    WRITING = "writing"
    BACKING_OFF = "backing off"
    READING_BACK = "reading back"
    SAVING = "saving"
    ENDED = "ended"


PHASES: Final[dict[tuple[Phase, Phase], str]] = {
    (Phase.READY, Phase.WRITING): "a commit begins",
    (Phase.READY, Phase.READY): "a check found another's version: go on from that",
    (Phase.READY, Phase.SAVING): "a check found it overwritten by an older implementation",
    (Phase.READY, Phase.ENDED): "stopped, fenced or damaged",
    (Phase.WRITING, Phase.READY): "written",
    (Phase.WRITING, Phase.BACKING_OFF): "its fate is unknown, or it was refused",
    (Phase.WRITING, Phase.READING_BACK): "the object is not at our base",
    (Phase.WRITING, Phase.ENDED): "abandoned, or the store takes no first commit",
    (Phase.BACKING_OFF, Phase.WRITING): "after a pause: the same bytes again",
    (Phase.BACKING_OFF, Phase.ENDED): "abandoned",
    (Phase.READING_BACK, Phase.READING_BACK): "it cannot be read: again after a pause",
    (Phase.READING_BACK, Phase.BACKING_OFF): "it stands at our base: it may land yet",
    (Phase.READING_BACK, Phase.READY): "landed, or go on from what is there",
    (Phase.READING_BACK, Phase.SAVING): "overwritten by an older implementation",
    (Phase.READING_BACK, Phase.ENDED): "fenced, damaged or abandoned",
    (Phase.SAVING, Phase.ENDED): "our last durable state is kept",
}
"""The table of phases, and when each is left: what is not in it cannot happen."""


class _Commit(msgspec.Struct):
    id: str
    number: int
    data: bytes
    held: list[Held]
    fixed_at: int
    began: int
    """When its last attempt began."""
    resigns: bool
    freed: tuple[str, ...] = ()
    """Payload objects that nothing names once it is durable."""
    changes: int = 0
    told: Told | None = None
    """What is told once it is durable, if somebody listens."""
    tally: Tally = msgspec.field(default_factory=Tally)
    arrivals: int = 0
    """How many requests had arrived by then."""
    attempts: int = 0
    """Attempts without a clear answer."""
    tainted: bool = False
    """Whether an attempt may have been applied although we were not told."""


class Committer:
    """The committer of one writer, from the taking of its place to its end."""

    def __init__(
        self,
        intake: Intake,
        base: Base | None,
        *,
        identity: Tenure,
        jitter: Callable[[], float],
        commit: CommitSettings,
        leadership: LeadershipSettings,
        now: Instant,
        firing: Firing | None = None,
    ) -> None:
        self._intake = intake
        self._firing = firing
        """Of one who leads: among several writers none is to fire more than others."""
        self._base = base
        self._last = base
        """What was last known to be stored, also while the object is gone."""
        self._identity = identity
        self._jitter = jitter
        self._settings = commit
        self._leadership = leadership
        self._serving = ServingClock(now.mono, commit.pause_ms_max)
        self._phase = Phase.READY
        self._commit: _Commit | None = None
        self._number = self._durable_number = 0
        self._pacing = Pacing(commit, jitter)
        self.pulse = Pulse(leadership, now.mono)
        self._confirmed_at = NEVER
        self._arrivals = self._confirmed_arrivals = 0
        self._checking = False
        self._retry_at = self._check_at = self._patrol_at = 0
        self._expiry_seen_at: int | None = None
        """When a lease was first seen due, in serving time."""
        self._wake_at = now.mono
        self._unresolved_since: int | None = None
        self._standing = self._vanished = False
        self._led = self._stopping = False
        self._actions: list[Action] = []
        self.ended: End | None = None
        self._take_place(self._advance(now), base)

    # What the runner looks at

    @property
    def position(self) -> tuple[int, int]:
        """Epoch and number of the last durable commit."""
        return self._identity.epoch, self._durable_number

    @property
    def shares(self) -> bool:
        """Whether others write the queue beside this one."""
        return self._identity.shares

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def durable(self) -> bytes:
        """The state object as last known to be stored."""
        return b"{}" if self._last is None else self._last.data

    @property
    def waiting_claims(self) -> int:
        """How many claims wait for a job."""
        return len(self._intake.waiting)

    @property
    def paused(self) -> bool:
        """Whether claims get nothing, durable or not."""
        return self._intake.state.paused

    @property
    def ends(self) -> EndMemory:
        """What is remembered of ended jobs, durable or not."""
        return self._intake.state.ends

    @property
    def leads(self) -> bool:
        """Whether the place has been taken by a durable commit, and not been lost."""
        return self._led and self.ended is None and self._phase is not Phase.SAVING

    def depths(self, wall_ms: int) -> Depths:
        """How full the queue is, with what is not durable yet."""
        return depths(self._intake.state, wall_ms)

    @property
    def pending(self) -> int:
        """How many requests wait for a commit or a confirmation."""
        return len(self._intake.pending) + (0 if self._commit is None else len(self._commit.held))

    @property
    def pending_bytes(self) -> int:
        """Bytes of the requests that wait for the next commit."""
        return self._intake.pending_bytes

    @property
    def stale(self) -> int:
        """Entries of the state's tables that stand for nothing any more."""
        state = self._intake.state
        return state.ready.stale + state.delayed.stale + state.leases.stale

    @property
    def writing(self) -> bool:
        """Whether a commit is under way: its bytes are fixed, and its fate is not known."""
        return self._commit is not None

    def confirmed_within(self, age_ms: int, mono_ms: int) -> bool:
        """Whether leadership was confirmed at most this long ago."""
        return self.leads and mono_ms - self._confirmed_at <= age_ms

    def take(self) -> tuple[list[Action], list[Held]]:
        """What there is to do, and who can be answered, since the last call."""
        intake = self._intake
        if intake.state.over:
            self._actions.append(JobsOver(tuple(intake.state.take_over())))
        actions = [*intake.notices, *self._actions] if intake.notices else self._actions
        answers = intake.answers
        self._actions, intake.answers, intake.notices = [], [], []
        return actions, answers

    # Events

    def arrive(self, held: Held, now: Instant) -> None:
        """A request has come in."""
        held.at = self._advance(now)
        held.arrived = self._pacing.arrived = now.mono
        self._arrivals += 1
        held.order = self._arrivals
        held.consistent |= self._identity.looks_first(held.op)
        refusal = self._refusal(held)
        if refusal is not None:
            self._intake.refuse(held, refusal)
            return
        self._intake.apply(held)
        self._intake.serve_waiting(held.at, now.mono)
        self._settle(now)

    def wait_over(self, held: Held, now: Instant) -> None:
        """A claim has waited as long as it asked for."""
        self._advance(now)
        held.waits = False  # applied again, it must not go back to waiting
        if self._intake.waiting.remove(held):
            held.outcome, held.arrived = Claimed(()), now.mono
            self._intake.pending.append(held)
            self._settle(now)

    def withdraw(self, held: Held, now: Instant) -> None:
        """The caller has gone away. What it was granted is given back at once."""
        moment = self._advance(now)
        if self._intake.waiting.remove(held) or self.ended is not None:
            return
        held.answered = True
        op, outcome = held.op, held.outcome
        if isinstance(op, Claim) and isinstance(outcome, Claimed) and outcome.grants:
            refs = tuple(
                [LeaseRef(each.id, each.lease) for each in outcome.grants if _returns(held, each)]
            )
            if refs:
                self._intake.own(Release(op.worker_id, refs), moment)
                self._intake.serve_waiting(moment, now.mono)

    def tick(self, now: Instant) -> None:
        """Time has passed. Calling it early or late does no harm."""
        moment = self._advance(now)
        if self.ended is not None:
            return
        if now.mono >= self._retry_at:
            self._try_again(now)
        self._expire(moment, now)
        if self._firing is not None and self._fires():
            self._firing.fire(self._intake, moment, now)
        if len(self._intake.waiting) > 0:
            self._intake.state.promote_due(now.wall)
            self._intake.serve_waiting(moment, now.mono)
        self._look(now)
        self._patrol(now)
        self._settle(now)
        if self._stopping and self._identity.shares and self._idle():
            self._end(EndReason.RELEASED, "stopped")

    def wants_commit(self, now: Instant) -> bool:
        """Whether a commit should begin now."""
        if self._phase is not Phase.READY or now.mono < self._not_before():
            return False
        resigns = self._stopping and not self._identity.shares
        return self._intake.dirty or resigns or now.mono >= self._heartbeat_at()

    def hold_back(self, until: int) -> None:
        """The store had better not be written before this. A heartbeat that is due, or a stop,
        does not wait for it.
        """
        self._pacing.hold_back(until)

    def begin(self, now: Instant) -> None:
        """Fix the next commit: its id, its bytes, and the requests in it."""
        assert self._phase is Phase.READY, "one commit at a time"
        moment = self._advance(now)
        resigns = self._stopping and not self._intake.dirty
        if resigns:
            self._intake.refuse_all(self._intake.pending, stopping_error())
            self._intake.own(Resign(), moment)
        else:
            self._intake.own(Forget(), moment)
        self._number += 1
        if self._identity.shares:
            self._intake.own(self._identity.place(), moment)
        header = self._intake.state.header
        header.commit = self._identity.commit_id(self._number)
        header.broker_heartbeat = now.wall
        if not self._identity.shares:
            header.heartbeat_every = self.pulse.promise(now.mono)
        if self._intake.state.events is not None:
            self._intake.state.promote_due(now.wall)  # so that the counts tell what is delayed
        data = encode_state(self._intake.state)
        self._commit = self._cut(header.commit, data, now, resigns=resigns)
        self._pacing.begins(now.mono)
        self._write(self._commit, now)

    def _cut(self, name: str, data: bytes, now: Instant, *, resigns: bool) -> _Commit:
        freed = self._intake.state.take_freed()
        held, changes, told, tally = self._intake.cut(data)
        return _Commit(
            name, self._number, data, held, now.mono, now.mono, resigns, freed, changes, told, tally
        )

    def _idle(self) -> bool:
        return self._phase is Phase.READY and not self._intake.dirty

    def listen(self, *, wanted: bool) -> None:
        """Tell from now on, or no more, what becomes of jobs; first of all how many there are.

        That is told of the first commit after which all is known, at once if nothing is pending.
        """
        self._intake.record(wanted=wanted)
        known = wanted and not self._intake.dirty
        told = Told(self._intake.state.totals(), None) if known else None
        if self._commit is not None:
            self._commit.told = told
        elif told is not None and self._phase is Phase.READY:
            self._actions.append(Publish(self.position, told))

    def encode_took(self, cpu_us: int) -> None:
        """What the last `begin` cost; it paces the next."""
        self._pacing.encode_took(cpu_us)

    def written(self, result: WriteResult, now: Instant) -> None:
        """The store has answered a `Write`."""
        self._advance(now)
        commit = self._commit
        assert commit is not None, "an answer without a write"
        match result:
            case Written(version):
                self._landed(commit, Base(version, commit.data, commit.id), now)
            case Conflicted() | Gone():
                self._after_conflict(now)
            case Unapplied(why, busy=False) if not self._led and not commit.tainted:
                self._end(EndReason.UNWRITABLE, why)
            case Unapplied(why):
                self._back_off(commit, why, now)
            case Unclear(why):
                commit.tainted = True
                self._back_off(commit, why, now)
        self._settle(now)

    def read_back(self, result: ReadResult, now: Instant) -> None:
        """The store has answered a `ReadBack`."""
        self._advance(now)
        commit = self._commit
        assert commit is not None, "only a commit's conflict is read back"
        match result:
            case Found(stored):
                finding = judge(stored, base=self._base, commit_id=commit.id, data=commit.data)
                self._follow(finding, Base(stored.version, stored.data, None), now)
            case Gone() if self._base is None:
                self._back_off(commit, "it was created and removed by somebody else", now)
            case Gone():
                self._gone(now)
            case Unchanged():
                self._doubt(commit, now)
            case Failed(why):
                self._pause(commit, why, now)
        self._settle(now)

    def checked(self, result: ReadResult, check: Check, now: Instant) -> None:
        """The store has answered a `Check`.

        A change that it found means something only while no write is under way: the write
        itself will tell more.
        """
        self._advance(now)
        self._checking = False
        stands = self._base is not None and self._base.version == check.unless
        idle = self._phase is Phase.READY and stands
        match result:
            case Unchanged():
                self._confirm(check.began, check.arrivals)
            case Found(stored) if idle and stored.version != check.unless:
                finding = judge(stored, base=self._base, commit_id=None, data=None)
                self._follow(finding, Base(stored.version, stored.data, None), now)
                if self._identity.shares and self._phase is Phase.READY:
                    self._confirm(check.began, check.arrivals)
            case Gone() if idle:
                self._gone(now)
            case _:
                self._check_at = now.mono + self._settings.fresh_ms // 4
        self._settle(now)

    def saved(self, where: str | None, now: Instant) -> None:
        """The store has answered a `Save`: the key, or ``None`` when it could not."""
        self._advance(now)
        kept = f"our last durable state is kept as {where}" if where else "it could not be kept"
        if self._vanished:
            self._end(
                EndReason.CORRUPT,
                f"the state object is gone from the store, and others may have written it since we "
                f"read it; {kept}; put the newest copy back",
            )
            return
        self._end(
            EndReason.OVERWRITTEN,
            "an older implementation, which drops what it does not know, has overwritten the "
            f"state object; {kept}; stop the older implementation first",
        )

    def stop(self, now: Instant) -> None:
        """Stop cleanly: commit what is pending, give leadership back, then end."""
        self._advance(now)
        self._stopping = True
        self._intake.refuse_all(self._intake.waiting.drain(), stopping_error())

    def abandon(
        self,
        now: Instant,
        why: str = "stopped with a commit unresolved",
        reason: EndReason = EndReason.STOPPED,
    ) -> None:
        """End now, whatever is unresolved."""
        self._advance(now)
        if self._phase is Phase.SAVING:
            why = "the state object is not ours any more, and our last durable state was not kept"
        if self.ended is None:
            self._end(reason, why)

    def next_wake(self, now: Instant) -> int:
        """When `tick` is wanted at the latest, in monotonic ms."""
        serving = self._advance(now).serving
        self._wake_at = min(self._wakes(now, serving))
        return self._wake_at

    # Requests

    def _take_place(self, moment: Moment, base: Base | None) -> None:
        """A place that is shared, and that nobody leads, needs no commit to be taken."""
        self._intake.own(self._identity.place(), moment)
        if self._identity.shares:
            self._intake.watch = Watch(self._intake.state)
            self._count_on(None if base is None else base.commit)
        self._led = isinstance(self._identity, Sharing) and not self._identity.takes

    def _refusal(self, held: Held) -> OsqueueError | None:
        if self.ended is not None:
            return self._ended_error()
        if self._stopping:
            return stopping_error()
        if self._phase is Phase.SAVING:
            return self._identity.refusal("the state object is not ours any more", None)
        return self._intake.overload(held, 0 if self._commit is None else len(self._commit.held))

    def _expire(self, moment: Moment, now: Instant) -> None:
        """Take back leases that are due, a short while after that was first seen.

        Requests that had arrived by then are applied first. A lease that became due since then
        has its own short while before it.
        """
        deadline, seen_at = self._intake.state.leases.next_deadline(), self._expiry_seen_at
        blind = self._unresolved_since is not None or not self._watches(now)
        if deadline is None or deadline > moment.serving or blind:
            self._expiry_seen_at = None
        elif seen_at is None or deadline > seen_at:
            self._expiry_seen_at = moment.serving
        elif moment.serving >= seen_at + self._settings.expiry_grace_ms:
            self._expiry_seen_at = None
            self._intake.own(Expire(), Moment(moment.wall, seen_at))
            self._intake.serve_waiting(moment, now.mono)

    def _fires(self) -> bool:
        return self._led and not self._stopping

    def _settle(self, now: Instant) -> None:
        """Answer what saw only durable things, or ask the store whether we still lead."""
        if self._phase is not Phase.READY:
            return
        pending = self._intake.pending
        done = 0
        for held in pending:
            if held.writes or not (held.answered or self._fresh(held, now)):
                break
            self._intake.answer(held, self.position)
            done += 1
        del pending[:done]
        if pending and not self._intake.dirty:
            self._ask(now)

    def _confirm(self, began: int, arrivals: int) -> None:
        """Leadership held at a moment after ``began``, and after that many arrivals."""
        self._confirmed_at = max(self._confirmed_at, began)
        self._confirmed_arrivals = max(self._confirmed_arrivals, arrivals)

    def _fresh(self, held: Held, now: Instant) -> bool:
        if held.consistent and self._confirmed_arrivals < held.order:
            return False
        return self._confirmed_at >= now.mono - self._settings.fresh_ms

    def _watches(self, now: Instant) -> bool:
        """Whether what stands in the object is known well enough to take back others' leases."""
        within_ms = LOOKS_MISSED_MAX * self._settings.look_ms
        return not self._identity.shares or self._confirmed_at >= now.mono - within_ms

    def _look(self, now: Instant) -> None:
        """While somebody waits, see whether others have submitted or ended anything."""
        if self._looks() and now.mono >= self._look_at():
            self._ask(now)

    def _looks(self) -> bool:
        if not self._identity.shares or self._checking or self._phase is not Phase.READY:
            return False
        return len(self._intake.waiting) > 0 or len(self._intake.awaited) > 0

    def _look_at(self) -> int:
        return max(self._confirmed_at + self._settings.look_ms, self._check_at)

    def _ask(self, now: Instant) -> None:
        if self._base is not None and not self._checking and now.mono >= self._check_at:
            self._checking = True
            self._actions.append(Check(self._base.version, now.mono, self._arrivals))

    def _patrol(self, now: Instant) -> None:
        """Tell the truth to those who have waited too long."""
        if now.mono < self._patrol_at:
            return
        self._patrol_at = now.mono + PATROL_MS
        for held in self._unanswered():
            waited = now.mono - held.arrived
            if held.writes and waited >= self._settings.answer_ms_max:
                self._intake.refuse(held, unknown_error("the store has not confirmed it in time"))
            elif not held.writes and waited >= self._leadership.heartbeat_timeout_ms:
                self._intake.refuse(held, unconfirmed_error())
        self._intake.let_go()

    def _unanswered(self) -> Iterator[Held]:
        committing = () if self._commit is None else self._commit.held
        return (held for held in chain(committing, self._intake.pending) if not held.answered)

    def _enter(self, phase: Phase) -> None:
        assert (self._phase, phase) in PHASES, f"no way from {self._phase} to {phase}"
        self._phase = phase

    # Writing

    def _write(self, commit: _Commit, now: Instant) -> None:
        self._enter(Phase.WRITING)
        commit.began, commit.arrivals = now.mono, self._arrivals
        self._actions.append(Write(commit.data, None if self._base is None else self._base.version))

    def _read_back(self, now: Instant) -> None:
        self._enter(Phase.READING_BACK)
        self._retry_at = _FAR
        if self._unresolved_since is None:
            self._unresolved_since = now.mono
        self._actions.append(ReadBack(None if self._base is None else self._base.version))

    def _after_conflict(self, now: Instant) -> None:
        """Read what stands there; among other writers perhaps a while later."""
        took_ms = 0 if self._commit is None else now.mono - self._commit.began
        pause_ms = self._pacing.race_pause_ms(took_ms)
        if pause_ms == 0:
            self._read_back(now)
            return
        self._enter(Phase.READING_BACK)
        self._retry_at = now.mono + pause_ms
        if self._unresolved_since is None:
            self._unresolved_since = now.mono

    def _try_again(self, now: Instant) -> None:
        if self._phase is Phase.BACKING_OFF and self._commit is not None:
            self._write(self._commit, now)
        elif self._phase is Phase.READING_BACK:
            self._read_back(now)

    def _back_off(self, commit: _Commit, why: str, now: Instant) -> None:
        self._enter(Phase.BACKING_OFF)
        self._pause(commit, why, now)

    def _doubt(self, commit: _Commit, now: Instant) -> None:
        """A conflict over our own base: the old version proves nothing, it may land yet."""
        commit.tainted = True
        self._back_off(commit, "a conflict was reported for an unchanged object", now)

    def _pause(self, commit: _Commit, why: str, now: Instant) -> None:
        settings = self._settings
        doubled = settings.backoff_first_ms << min(commit.attempts, 16)
        longest = min(settings.backoff_max_ms, doubled)
        self._retry_at = now.mono + 1 + int(longest * (0.5 + self._jitter() / 2))
        if commit.attempts == 0:
            self._actions.append(Notice(f"a commit is unresolved, trying on: {why}"))
        commit.attempts += 1
        if self._unresolved_since is None:
            self._unresolved_since = now.mono

    def _landed(self, commit: _Commit, base: Base, now: Instant) -> None:
        if commit.attempts > 0:
            self._actions.append(Notice("the unresolved commit has landed"))
        self._base = self._last = base
        self._commit = None
        self._enter(Phase.READY)
        self._led, self._durable_number, self._unresolved_since = True, commit.number, None
        self._pacing.landed(now.mono - commit.began, now.mono)
        self.pulse.landed(commit.began, now.mono)
        if isinstance(self._identity, Sharing):
            self._identity = self._identity.following(None)
        self._confirm(commit.began, commit.arrivals)
        unconfirmed = []
        for held in commit.held:
            if held.writes or self._fresh(held, now):
                self._intake.answer(held, self.position)
            elif not held.answered:
                unconfirmed.append(held)
        self._intake.pending[:0] = unconfirmed
        self._tell_landed(commit, now)
        if commit.resigns:
            self._end(EndReason.RELEASED, "leadership was given back")

    def _tell_landed(self, commit: _Commit, now: Instant) -> None:
        """What leaves with a commit: nobody has heard of it before."""
        position = (self._identity.epoch, commit.number)
        landed = Landed(
            position=position,
            held=commit.held,
            changes=commit.changes,
            size=len(commit.data),
            took_ms=now.mono - commit.fixed_at,
            tally=commit.tally,
        )
        self._actions.append(landed)
        if commit.told is not None:
            self._actions.append(Publish(position, commit.told))
        if commit.freed:
            self._actions.append(Discard(commit.freed))

    # Conflicts

    def _follow(self, finding: Finding, found: Base, now: Instant) -> None:
        """Act on what stands in the object."""
        commit = self._commit
        origin = finding.origin
        edited = Base(found.version, found.data, None if origin is None else origin.commit)
        match finding.verdict:
            case Verdict.STANDS:
                assert commit is not None, "a check looks for other versions only"
                self._doubt(commit, now)
            case Verdict.LANDED | Verdict.LANDED_THEN_EDITED:
                assert commit is not None, "only a commit can land"
                if finding.verdict is Verdict.LANDED_THEN_EDITED:
                    commit.freed = ()  # whoever edited it may name them again: left to the sweeper
                self._landed(commit, Base(found.version, found.data, commit.id), now)
                if finding.verdict is Verdict.LANDED_THEN_EDITED:
                    self._adopt_edit(edited, [], now)
            case Verdict.FENCED if self._identity.goes_on(origin):
                replay = [] if commit is None else self._lost_race(commit, origin, now)
                self._go_on(edited, origin, replay, now)
            case Verdict.EDITED:
                self._adopt_edit(edited, [] if commit is None else commit.held, now)
            case Verdict.OVERWRITTEN if self._led and self._last is not None:
                self._keep(self._last)
            case Verdict.CORRUPT:
                self._end(EndReason.CORRUPT, f"the state object was damaged: {finding.why}")
            case Verdict.FENCED | Verdict.OVERWRITTEN:
                self._fenced(origin, now)

    def _lost_race(self, commit: _Commit, origin: Origin | None, now: Instant) -> list[Held]:
        """Another writer's version stands there: what of our commit is to be applied again."""
        self._pacing.lost_race()
        fate = self._identity.fate(origin, commit.id, self._base)
        if fate is Fate.NOT_APPLIED:
            return commit.held
        writes = [held for held in commit.held if held.writes]
        if fate is Fate.LANDED:
            self._durable_number = commit.number
            for held in writes:
                self._intake.answer(held, self.position)
            self._tell_landed(commit, now)
        else:
            why = "too many others have written since to tell"
            self._intake.refuse_all(writes, unknown_error(why))
        return [held for held in commit.held if not held.writes]

    def _go_on(
        self, found: Base, origin: Origin | None, replay: Iterable[Held], now: Instant
    ) -> None:
        """Build upon what somebody else has written. Leases that are due are so again at once."""
        assert isinstance(self._identity, Sharing), "a leader builds upon its own"
        assert origin is not None, "it could be read"
        moment = self._advance(now)
        self._pacing.met(now.mono)
        before = None if self._base is None else CommitId.parse(self._base.commit)
        if before is not None and origin.epoch != before.epoch:
            self._intake.watch = None  # who led in between kept heartbeats to himself
        self._identity = self._identity.following(origin.epoch)
        self._count_on(origin.commit)
        place = Held(op=self._identity.place(), at=moment, writes=True, answered=True)
        again = [
            held
            for held in chain(replay, self._intake.pending)
            if not isinstance(held.op, Share | Expire)
        ]
        try:
            self._intake.rebuild(found.data, [place, *again], moment)
        except CorruptStateError as error:
            self._end(EndReason.CORRUPT, f"the state object was damaged: {error.message}")
            return
        self._intake.watch = self._intake.watch or Watch(self._intake.state)
        self._base = self._last = found
        self._commit, self._led = None, True
        self._enter(Phase.READY)
        self._unresolved_since = self._expiry_seen_at = None
        self._intake.serve_waiting(moment, now.mono)

    def _count_on(self, commit: str | None) -> None:
        """Commits are numbered along the versions of an epoch, and ours never alike."""
        name = CommitId.parse(commit)
        if name is not None and name.epoch == self._identity.epoch:
            self._number = max(self._number, name.number)
            self._durable_number = max(self._durable_number, name.number)

    def _adopt_edit(self, edited: Base, earlier: list[Held], now: Instant) -> None:
        """Build upon what a person has edited: first what was not in it, then what came later."""
        if self.ended is not None:
            return
        edit = Notice("the state object was edited by hand; going on from that")
        me = self._identity
        if isinstance(me, Sharing):
            self._actions.append(edit)
            self._go_on(edited, read_origin(edited.data), earlier, now)
            return
        replay = [*earlier, *self._intake.pending]
        try:
            self._intake.rebuild(edited.data, replay, self._advance(now))
        except CorruptStateError as error:
            self._end(EndReason.CORRUPT, f"the state object was edited by hand: {error.message}")
            return
        self._actions.append(edit)
        self._base = self._last = edited
        self._commit = None
        self._enter(Phase.READY)
        self._unresolved_since = None
        self._intake.serve_waiting(self._advance(now), now.mono)
        header = self._intake.state.header
        header.epoch, header.broker = me.epoch, me.broker
        header.broker_id, header.heartbeat_every = me.broker_id, me.heartbeat_every

    def _gone(self, now: Instant) -> None:
        """Only who has it alone knows its last state, and creates it again: not who was about to
        take it, from a leader that may have written since.
        """
        if not self._led and not self._identity.shares:
            self._end(EndReason.UNWRITABLE, "the state object is gone since it was read")
            return
        if self._identity.shares and self._last is not None:
            self._vanished = True
            self._keep(self._last)
            return
        self._create_again(now)

    def _keep(self, last: Base) -> None:
        """Our last durable state goes beside the object, and then this is over."""
        self._enter(Phase.SAVING)
        message = "the state object is not ours any more; keeping our last durable state beside it"
        self._actions.append(Notice(message, error=True))
        self._actions.append(Save(f"{BEFORE}{last.commit}", last.data))

    def _create_again(self, now: Instant) -> None:
        """The object is gone: create it from the last durable state, under a new epoch."""
        commit, base = self._commit, self._base
        assert base is not None, "what never was cannot be gone"
        message = "the state object is GONE from the store; creating it again from memory"
        self._actions.append(Notice(message, error=True))
        committing = [] if commit is None else commit.held
        if commit is not None and commit.tainted:
            lost = [held for held in committing if held.writes]
            self._intake.refuse_all(lost, unknown_error("the state object has vanished"))
            committing = [held for held in committing if not held.writes]
        moment = self._advance(now)
        epoch = max(now.wall // 1_000, self._identity.epoch + 1)
        self._identity = msgspec.structs.replace(self._identity, epoch=epoch)
        lead = Held(op=self._identity.place(), at=moment, writes=True, answered=True)
        replay = [held for held in committing if not isinstance(held.op, Lead)]
        self._intake.rebuild(base.data, [lead, *replay, *self._intake.pending], moment)
        self._commit = self._base = None
        self._enter(Phase.READY)
        self._unresolved_since = None
        self._intake.serve_waiting(moment, now.mono)

    # The end

    def _fenced(self, origin: Origin | None, now: Instant) -> None:
        commit = self._commit
        if commit is not None:
            self._tell_fate(commit, origin, now)
        leader = None if origin is None else origin.broker
        self._end(EndReason.FENCED, self._identity.fenced_by(leader), leader)

    def _tell_fate(self, commit: _Commit, origin: Origin | None, now: Instant) -> None:
        """Answer what is known to have landed, or known not to; the rest stays unknown."""
        fate = self._identity.fate(origin, commit.id, self._base)
        writes = [held for held in commit.held if held.writes]
        if fate is Fate.LANDED:
            for held in writes:
                self._intake.answer(held, (self._identity.epoch, commit.number))
            commit.freed = ()  # the one who leads now may have named them again
            self._tell_landed(commit, now)
        elif fate is Fate.NOT_APPLIED:
            leader = None if origin is None else origin.broker
            error = self._identity.refusal(self._identity.fenced_by(leader), leader)
            self._intake.refuse_all(writes, error)

    def _end(self, reason: EndReason, message: str, leader: str | None = None) -> None:
        """Answer everybody: unknown what is in an unresolved commit, not applied the rest."""
        self.ended = End(reason, message, leader)
        intake = self._intake
        if self._commit is not None:
            writes = [held for held in self._commit.held if held.writes]
            intake.refuse_all(writes, unknown_error(message))
        error = self._ended_error()
        intake.refuse_all(self._unanswered(), error)
        intake.refuse_all(intake.waiting.drain(), error)
        intake.pending, self._commit = [], None
        self._enter(Phase.ENDED)
        self._actions.append(self.ended)

    def _ended_error(self) -> OsqueueError:
        assert self.ended is not None, "it goes on"
        if self.ended.reason in {EndReason.RELEASED, EndReason.STOPPED, EndReason.FAILED}:
            return stopping_error()
        return self._identity.refusal(self.ended.message, self.ended.leader)

    # Time

    def _advance(self, now: Instant) -> Moment:
        unresolved = self._unresolved_since
        if unresolved is None and self._commit is not None:
            hung_at = self._commit.began + HANG_MS
            unresolved = hung_at if now.mono > hung_at else None
        due, self._wake_at = self._wake_at, now.mono  # a step follows every event at once
        self._standing = unresolved is not None
        serving = self._serving.read(now.mono, due=due, unresolved_since=unresolved)
        return Moment(now.wall, serving)

    def _not_before(self) -> int:
        """A stop does not wait for the store to be ready, nor does a heartbeat that is due."""
        return self._pacing.not_before(due_at=0 if self._stopping else self._due_at())

    def _due_at(self) -> int:
        return self.pulse.due_at(self._pacing.began)

    def _heartbeat_at(self) -> int:
        return _FAR if self._identity.shares else self._due_at()

    def _wakes(self, now: Instant, serving: int) -> Iterator[int]:
        intake = self._intake
        yield now.mono + self._leadership.heartbeat_interval_ms
        if self._phase is Phase.READY:
            yield self._not_before() if intake.dirty or self._stopping else self._heartbeat_at()
        elif self._phase in {Phase.BACKING_OFF, Phase.READING_BACK}:
            yield self._retry_at
        if self._phase is Phase.READY and intake.pending and not (intake.dirty or self._checking):
            yield max(self._check_at, now.mono + 1)
        if self._commit is not None or intake.pending:
            yield self._patrol_at
        if self._looks():
            yield max(self._look_at(), now.mono + 1)
        can_expire = not self._standing and self._watches(now)
        if can_expire and (deadline := intake.state.leases.next_deadline()) is not None:
            seen_at = self._expiry_seen_at
            due = deadline if seen_at is None else seen_at + self._settings.expiry_grace_ms
            yield now.mono + max(1, due - serving)
        if len(intake.waiting) > 0 and (run_at := intake.state.delayed.next_run_at()) is not None:
            yield now.mono + max(1, run_at - now.wall)
        if self._firing is not None and self._fires():
            fire_at = self._firing.wake_at(intake, now)
            if fire_at is not None:
                yield fire_at


def _returns(held: Held, grant: Grant) -> bool:
    """Whether a lease is given back when the caller who asked for it has gone."""
    return held.gives_back is None or grant.lease.rpartition("-")[0] in held.gives_back
