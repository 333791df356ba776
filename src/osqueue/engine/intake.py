"""The live state, the requests applied to it, and the answers held until they are true for good.

Laws: ``state`` is always what ``fixed`` decodes to with ``pending`` applied in order; a request is
answered exactly once; a faulty operation is refused alone, and leaves no trace.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple, Protocol

from osqueue.config import CommitSettings, QueueLimits
from osqueue.engine.refusals import unknown_error
from osqueue.engine.requests import Held, Notice
from osqueue.errors import OsqueueError, OverloadedError
from osqueue.model.apply import apply
from osqueue.model.events import Told
from osqueue.model.index import ReadyIndex
from osqueue.model.job import JobStatus, Moment
from osqueue.model.ops import Claim, Heartbeat, Op, PutSchedule
from osqueue.model.outcomes import Acted, Claimed, Done, Outcome, Results, ScheduleKept, Submitted
from osqueue.model.snapshot import decode_state
from osqueue.model.state import QueueState
from osqueue.model.tally import Tally
from osqueue.model.watch import Watch

__all__ = ["Cut", "Intake", "Waiting"]


class Waiting(Protocol):
    """Claims that wait for a job."""

    def __len__(self) -> int: ...

    def add(self, held: Held) -> None:
        """Let a claim wait, behind those already waiting."""
        ...

    def remove(self, held: Held) -> bool:
        """Whether it was waiting; it does not any more."""
        ...

    def next(self, ready: ReadyIndex) -> Held | None:
        """Take the claim that waits longest among those that would get one of ``woken``, which is
        empty when there is none.
        """
        ...

    def drain(self) -> list[Held]:
        """Take all."""
        ...


class Cut(NamedTuple):
    """What goes into one commit."""

    held: list[Held]
    changes: int
    """Of jobs, and now and then of the queue itself."""
    told: Told | None
    """What it tells to those who listen; ``None`` when nobody does."""
    tally: Tally


class Intake:
    """Applies requests, and keeps them until the committer knows what became of them."""

    def __init__(
        self,
        state: QueueState,
        fixed: bytes | None,
        *,
        waiting: Waiting,
        settings: CommitSettings,
        awaited: Collection[str] = (),
    ) -> None:
        self.state = state
        self.awaited = awaited
        """The jobs whose end somebody waits for; others change it."""
        state.await_ends(awaited)
        self.fixed = fixed
        """The bytes on which ``pending`` builds; ``None`` for an empty state."""
        self.pending: list[Held] = []
        self.dirty = False
        """Whether anything pending needs a commit."""
        self.waiting = waiting
        self.answers: list[Held] = []
        self.notices: list[Notice] = []
        self._settings = settings
        self._bytes = 0
        self._generation = state.generation
        self._reloads = 0
        self._records = False
        self._counted = state.revision
        """The state's revision at the last cut."""
        self.watch: Watch | None = None
        """What is kept of leases and ends when the state is read anew, by whoever shares it."""

    @property
    def pending_bytes(self) -> int:
        """Bytes of the requests in ``pending``."""
        return self._bytes

    def overload(self, held: Held, committing: int) -> OverloadedError | None:
        """Why a request cannot be taken now, if so."""
        if len(self.pending) + committing >= self._settings.pending_ops_max:
            return OverloadedError("too many requests are waiting for a commit; try again later")
        if self._bytes + held.size > self._settings.pending_bytes_max:
            return OverloadedError("too many bytes are waiting for a commit; try again later")
        return None

    def apply(self, held: Held) -> None:
        """Apply a request at its moment; a claim that finds nothing may go on waiting."""
        before = self.state.revision
        try:
            outcome = apply(self.state, held.op, held.at)
        except Exception as error:  # noqa: BLE001 - one faulty operation must harm no other
            self._drop_faulty(held, error)
            return
        held.outcome = outcome
        held.writes = self.state.revision != before
        if held.waits and isinstance(outcome, Claimed) and not outcome.grants:
            self._wait(held)
            return
        self.dirty = self.dirty or held.writes
        self._bytes += held.size
        self.pending.append(held)

    def own(self, op: Op, moment: Moment) -> Outcome | None:
        """Apply an operation of the engine's own, which nobody waits for; ``None``: it failed."""
        held = Held(op=op, at=moment, answered=True)
        self.apply(held)
        return held.outcome

    def serve_waiting(self, moment: Moment, mono_ms: int) -> None:
        """Let waiting claims have what has become ready."""
        if not self.state.ready.woken or self.state.paused:
            return
        while (held := self.waiting.next(self.state.ready)) is not None:
            held.waited, held.at, held.arrived = True, moment, mono_ms
            self.apply(held)

    def cut(self, fixed: bytes) -> Cut:
        """Hand over what is pending: it is in ``fixed`` now."""
        state = self.state
        told = None if state.events is None else Told(state.totals(), state.events.cut())
        tally, state.tally = state.tally, Tally()
        tally.waiting = state.counts[JobStatus.UNCLAIMED]
        cut = Cut(self.pending, state.revision - self._counted, told, tally)
        self.fixed, self._counted = fixed, state.revision
        self.pending, self.dirty, self._bytes = [], False, 0
        return cut

    def record(self, *, wanted: bool) -> None:
        """Record what becomes of jobs, or do so no more."""
        if wanted is not self._records:
            self._records = wanted
            self.state.record(whole=not self.dirty) if wanted else self.state.stop_recording()

    def rebuild(self, data: bytes | None, replay: Iterable[Held], moment: Moment) -> None:
        """Read the state from bytes, and apply in order what they do not contain.

        A claim that came from the waiting ones goes back to them; one whose caller has been
        answered or has gone is left out. Raises `CorruptStateError`, changing nothing.
        """
        self._reloads += 1
        generation = f"{self._generation}-{self._reloads}"
        self.state = self._read(data, moment, generation)
        self.fixed, self._counted = data, self.state.revision
        self.state.await_ends(self.awaited)
        if self._records:
            self.state.record(whole=True)  # all that is pending is applied again
        self.pending, self.dirty, self._bytes = [], False, 0
        for held in replay:
            if held.waited and held.waits:
                held.waited, held.writes, held.outcome = False, False, None
                self._wait(held)
            elif not held.answered or (held.writes and not isinstance(held.op, Claim)):
                held.at = Moment(held.at.wall, moment.serving)  # every lease begins anew
                self.apply(held)

    def _read(self, data: bytes | None, moment: Moment, generation: str) -> QueueState:
        watch, limits = self.watch, self.state.limits
        if watch is not None:
            watch.look(self.state)
        state = read_state(data, limits, moment=moment, generation=generation, watch=watch)
        if watch is not None:
            watch.renew(state)
        return state

    def answer(self, held: Held, position: tuple[int, int]) -> None:
        """Let a request have its outcome."""
        if not held.answered:
            held.answered = True
            held.position = position
            self.answers.append(held)

    def refuse(self, held: Held, error: OsqueueError) -> None:
        """Answer a request with an error, unless it has been answered.

        One that repeats another needs no commit of its own, but rests on that one's: of which it is
        not known here whether it is durable.
        """
        if not held.answered:
            if error.applied == "no" and _repeats(held):
                error = unknown_error(f"an earlier try of it is not confirmed ({error.message})")
            held.outcome, held.error, held.answered = None, error, True
            self.answers.append(held)

    def let_go(self) -> None:
        """Forget what has been answered and changed nothing: it must not fill the bounds."""
        self.pending = [held for held in self.pending if held.writes or not held.answered]
        self._bytes = sum(held.size for held in self.pending)

    def refuse_all(self, many: Iterable[Held], error: OsqueueError) -> None:
        for held in many:
            self.refuse(held, error)

    def _wait(self, held: Held) -> None:
        if len(self.waiting) >= self._settings.waiting_claims_max:
            self.refuse(held, OverloadedError("too many claims are waiting; try again later"))
        elif not held.answered:
            self.waiting.add(held)

    def _drop_faulty(self, held: Held, error: Exception) -> None:
        """Undo what a failed operation may have half done: start again from fixed bytes."""
        self.notices.append(
            Notice(f"{type(held.op).__name__} failed inside: {error!r}", error=True)
        )
        self.refuse(held, OsqueueError("the broker failed on this request; nothing was changed"))
        self.rebuild(self.fixed, self.pending, held.at)


def _repeats(held: Held) -> bool:
    """Whether a request was found to be done already, by a commit that may come to nothing."""
    if held.writes or isinstance(held.op, Heartbeat):
        return False
    match held.outcome:
        case Submitted() | Done():
            return True
        case Results(each) | Acted(each):
            return any(isinstance(one, Done) for one in each)
        case Claimed(grants):
            return bool(grants)
        case ScheduleKept():
            return isinstance(held.op, PutSchedule)
        case _:
            return False


def read_state(
    data: bytes | None,
    limits: QueueLimits,
    *,
    moment: Moment,
    generation: str,
    watch: Watch | None = None,
) -> QueueState:
    """The state of some bytes; an empty one of none."""
    if data is None:
        return QueueState(limits, generation=generation)
    return decode_state(data, limits=limits, now=moment, generation=generation, watch=watch)
