"""The engine of one queue in one broker: stands by, leads, steps down, and stands by again.

Requests go to the term under way, if there is one; otherwise they are told who leads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from osqueue.clock import Clock, Entropy
from osqueue.config import BrokerSettings, QueueLimits
from osqueue.engine.archiver import Backlog
from osqueue.engine.callers import Caller, Follow
from osqueue.engine.committer import Committer, Identity
from osqueue.engine.desk import TermDesk
from osqueue.engine.election import Election, Role
from osqueue.engine.firing import Firing
from osqueue.engine.footprint import Footprint, footprint_of
from osqueue.engine.intake import Intake, Waiting
from osqueue.engine.leadership import MOVING_TIMEOUTS, Leadership, Place, Probe
from osqueue.engine.observer import Observer, Observers
from osqueue.engine.payloads import PayloadObjects
from osqueue.engine.refusals import (
    halted_error,
    handover_error,
    standby_error,
    starting_error,
    stopping_error,
)
from osqueue.engine.requests import End, EndReason, Held
from osqueue.engine.standbys import Standbys
from osqueue.engine.sweeper import Sweeper, named_payloads
from osqueue.engine.term import Listener, Term, read_instant
from osqueue.errors import (
    BrokerLeadershipError,
    CorruptStateError,
    OsqueueError,
    StoreUnavailableError,
)
from osqueue.model.job import Moment
from osqueue.model.ops import Claim, Op
from osqueue.model.queries import Depths
from osqueue.model.schedules import Timetable
from osqueue.storage.protocol import Store
from osqueue.wire.messages import BrokerStatus

__all__ = ["Duty", "Engine", "Gauges"]

logger = logging.getLogger("osqueue.engine")

Duty: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""What a leader does beside committing; begun with each term and cancelled at its end."""


class Gauges(NamedTuple):
    """How a broker stands at a moment."""

    status: BrokerStatus
    depths: Depths | None
    """Only of a leader."""
    waiting: int
    """Claims that wait for a job."""
    pending: int
    """Requests that wait for a commit or a confirmation."""


class Engine:
    """One broker's part in one queue, from `start` until it is stopped or cannot go on."""

    def __init__(
        self,
        store: Store,
        key: str,
        *,
        address: str,
        settings: BrokerSettings,
        clock: Clock,
        entropy: Entropy,
        waiting: Callable[[], Waiting],
        probe: Probe,
    ) -> None:
        self._store = store
        self._key = key
        self._address = address
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._waiting = waiting
        self.broker_id = entropy.token()
        leadership = settings.leadership
        self._election = Election(address, self.broker_id, settings=leadership)
        self._leadership = Leadership(self._election, store, key, clock=clock, probe=probe)
        self._standbys = Standbys(leadership.heartbeat_timeout_ms)
        self.payloads = PayloadObjects(store, settings.payloads, entropy=entropy)
        self.duties: Sequence[Duty] = ()
        self.listener: Listener | None = None
        """Is told of each term's end, and if it `listen`s, of what commits change."""
        self.awaited: set[str] = set()
        """The jobs whose end somebody waits for; `listener` is told."""
        self.observer: Observer = Observers()
        self.timetable: Timetable | None = None
        """Tells when schedules come; without one they submit nothing."""
        self._told_role: tuple[str, int] | None = None
        self._term: Term | None = None
        self._desk = TermDesk(lambda: self._term, self.payloads, refusal=self._refusal)
        self._life: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        """Set once it is known whether this broker leads or stands by."""
        self._turned = asyncio.Event()
        """Set when the role changes, and replaced by a new one."""
        self._end: End | None = None
        self.ended = asyncio.Event()
        """Set once this broker neither leads nor stands by any more."""

    @property
    def end(self) -> End | None:
        """Why it has ended."""
        return self._end

    @property
    def limits(self) -> QueueLimits:
        """What bounds the queue's state."""
        return self._settings.limits

    # The life of a broker

    async def start(self) -> None:
        """Take the queue, or stand by. Returns when it is known which.

        Raises `CorruptStateError`, `BrokerLeadershipError` when an older implementation has
        overwritten the state, and the store's errors.
        """
        self._life = asyncio.get_running_loop().create_task(self._live(), name="osqueue life")
        settled = asyncio.ensure_future(self._settled.wait())
        waiting = asyncio.ensure_future(self._leadership.waiting.wait())
        try:
            await asyncio.wait({self._life, settled, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            settled.cancel()
            waiting.cancel()
        if self._life.done():
            self._life.result()
            if self._end is not None and not self._settled.is_set():
                raise _start_error(self._end, f"{self._store.url} {self._key}")

    async def settle(self, *, waits: bool) -> str | None:
        """Wait until this process leads. Unless it ``waits`` for as long as that takes, the wait
        ends when another leader is found to live, and answers its address.

        Raises as `start` does, and `BrokerLeadershipError` when it will never lead.
        """
        assert self._life is not None, "it was started"
        timeout_ms = self._settings.leadership.heartbeat_timeout_ms
        leading = asyncio.ensure_future(self._settled.wait())
        meeting = asyncio.ensure_future(
            self._leadership.meet(moving_ms=MOVING_TIMEOUTS * timeout_ms)
        )
        try:
            ends = {self._life, leading} if waits else {self._life, leading, meeting}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._settled.is_set():
                return None
            if not self._life.done():
                return meeting.result()
            self._life.result()
            raise self._refusal()
        finally:
            leading.cancel()
            meeting.cancel()

    async def stop(self) -> None:
        """Commit what is pending, give leadership back; give up after the drain time."""
        self._election.stop()
        if self._term is not None:
            await self._term.stop(self._settings.drain_ms)
        elif self._life is not None:
            self._life.cancel()
        if self._life is not None:
            await asyncio.wait({self._life})
            _ = self._life.cancelled() or self._life.exception()  # told before: it is the end
        await self._desk.close()
        self._over(End(EndReason.RELEASED, "this broker did not lead"))
        self._turn()

    async def hand_over(self) -> None:
        """Give leadership back to whoever stands by, and stand by for them.

        Raises `BrokerProtocolError` when nobody stands by, or the last commit is not confirmed.
        """
        term = self._leading()
        if self._election.role is not Role.LEADER:
            raise handover_error("it is under way")
        if not self._standbys.recent(self._clock.mono_ms()):
            raise handover_error("no other broker stands by; start one first")
        self._election.hand_over()
        await term.stop(self._settings.drain_ms)
        assert term.end is not None, "it has been stopped"
        if term.end.reason is not EndReason.RELEASED:
            raise handover_error(term.end.message)

    async def _live(self) -> None:
        try:
            while self._election.role is Role.STANDBY:
                term = await self._next_term()
                if term is not None:
                    await self._serve(term)
            self._turn()
        except OsqueueError as error:
            self._fail(error)
            raise
        except Exception as error:  # a fault of our own, or of the store's client
            logger.exception("the engine failed inside; this broker ends")
            failure = OsqueueError(f"the broker failed inside: {error!r}")
            self._fail(failure)
            raise failure from error
        except asyncio.CancelledError:
            if self._election.role is not Role.STOPPED:
                raise

    async def _next_term(self) -> Term | None:
        """The next chance, taken up. Nothing keeps the place's bytes: they may be large."""
        place = await self._leadership.chance()
        return None if place is None else self._open(place)

    async def _serve(self, term: Term) -> None:
        """One term, from the takeover to its end."""
        self._term = term
        self._turn()
        try:
            if await term.decided():
                await self._lead(term)
            assert term.end is not None, "it is over"
            self._follow(term.end)
            self._turn()
        finally:
            await term.close()
            self._term = None

    async def _lead(self, term: Term) -> None:
        if self._election.role is Role.CANDIDATE:
            self._election.won()
        self._leadership.led()
        logger.info("leadership is taken: %s, epoch %d", self._key, term.committer.position[0])
        if term.committer.paused:
            logger.warning("the queue is paused: no job is handed out until it is resumed")
        self._settled.set()
        self._turn()
        loop = asyncio.get_running_loop()
        duties = [
            loop.create_task(duty(), name="osqueue duty") for duty in (self._sweep, *self.duties)
        ]
        for duty in duties:
            duty.add_done_callback(_tell_of_fault)
        try:
            await term.ended.wait()
        finally:
            for duty in duties:
                duty.cancel()
            await asyncio.gather(*duties, return_exceptions=True)

    def _follow(self, end: End) -> None:
        """What the end of a term makes of this broker."""
        self._election.over(end, self._clock.mono_ms())
        if self._election.role is Role.STOPPED:
            self._over(end)
        elif self._election.role is Role.HALTED:
            self._leadership.halted = end.message
        elif end.reason is EndReason.UNWRITABLE and not self._leadership.waiting.is_set():
            raise StoreUnavailableError(
                f"{self._store.url} {self._key} cannot be written: {end.message}"
            )

    async def _sweep(self) -> None:
        sweeper = Sweeper(
            self._store,
            self.payloads,
            self._settings.payloads,
            entropy=self._entropy,
            named=partial(named_payloads, self),
            key=self._key,
        )
        await sweeper.run(lambda: self.epoch)

    def _over(self, end: End) -> None:
        if self._end is None:
            self._end = end
            self.ended.set()

    def _fail(self, error: OsqueueError) -> None:
        corrupt = isinstance(error, CorruptStateError)
        self._over(End(EndReason.CORRUPT if corrupt else EndReason.FAILED, error.message))
        self._turn()
        if self._election.role is not Role.STOPPED:
            self._election.fail()

    def _open(self, place: Place) -> Term:
        now = read_instant(self._clock)
        state = place.open(self._settings.limits, Moment(now.wall, now.mono))
        leadership = self._settings.leadership
        identity = Identity(
            place.epoch, self._address, self.broker_id, leadership.heartbeat_interval_ms
        )
        fixed = None if place.base is None else place.base.data
        committer = Committer(
            Intake(
                state,
                fixed,
                waiting=self._waiting(),
                settings=self._settings.commit,
                awaited=self.awaited,
            ),
            place.base,
            identity=identity,
            jitter=self._entropy.jitter,
            commit=self._settings.commit,
            leadership=leadership,
            now=now,
            firing=None if self.timetable is None else Firing(self.timetable),
        )
        term = Term(committer, self._store, self._key, clock=self._clock, discard=self.discard)
        term.listener, term.observer = self.listener, self.observer
        return term

    def _turn(self) -> None:
        self._turned.set()
        self._turned = asyncio.Event()
        status = self.status()
        role = (status.role, status.epoch)
        if role != self._told_role:
            self._told_role = role
            self.observer.role_changed(*role)

    def gauges(self) -> Gauges:
        """What a scrape of metrics looks at."""
        committer = None if self._term is None else self._term.committer
        if committer is None or not committer.leads:
            return Gauges(self.status(), None, 0, 0)
        depths = committer.depths(self._clock.wall_ms())
        return Gauges(self.status(), depths, committer.waiting_claims, committer.pending)

    def footprint(self) -> Footprint:
        """What is kept in memory beside the queue itself."""
        return footprint_of(self._desk, self._term, self.payloads)

    # How it is doing

    def status(self) -> BrokerStatus:
        """How the engine is doing now."""
        role, mono_ms = self._election.role, self._clock.mono_ms()
        origin = self._election.origin
        if self._term is None or self._end is not None:
            return BrokerStatus(
                ready=False,
                role=role if self._life is not None else "starting",
                address=self._address,
                broker_id=self.broker_id,
                leader=self._election.leader,
                epoch=0 if origin is None else origin.epoch or 0,
                heartbeat_age_ms=None if origin is None else self._election.stood_ms(mono_ms),
                heartbeat_every_ms=None if origin is None else origin.heartbeat_every,
                reason=self._refusal().message,
            )
        return self._term_status(self._term.committer, role, mono_ms)

    def _term_status(self, committer: Committer, role: Role, mono_ms: int) -> BrokerStatus:
        timeout_ms = self._settings.leadership.heartbeat_timeout_ms
        ready = committer.confirmed_within(timeout_ms, mono_ms)
        age_ms, end = committer.pulse.age_ms(mono_ms), committer.ended
        return BrokerStatus(
            ready=ready,
            role=role,
            address=self._address,
            broker_id=self.broker_id,
            leader=self._address if end is None else end.leader,
            epoch=committer.position[0],
            writable=committer.leads and age_ms is not None and age_ms <= timeout_ms,
            commits=committer.position[1],
            commits_per_s=round(committer.pulse.commits_per_s(mono_ms), 1),
            state_bytes=len(committer.durable),
            heartbeat_age_ms=age_ms,
            heartbeat_every_ms=committer.pulse.every_ms,
            standbys=self._standbys.recent(mono_ms),
            reason=None if ready else _unready(end),
            paused=committer.leads and committer.paused,
        )

    async def watched(self, broker_id: str, address: str, *, wait_ms: int) -> BrokerStatus:
        """How it is doing, for a broker that stands by: keeps the answer until it has to act."""
        mono_ms = self._clock.mono_ms()
        self._standbys.saw(broker_id, address, mono_ms)
        if self._term is not None and self._term.committer.leads:
            self._term.watch()
            turned = self._turned
            try:
                async with asyncio.timeout(wait_ms / 1_000):
                    await turned.wait()
            except TimeoutError:
                pass
        return self.status()

    @property
    def durable(self) -> bytes:
        """The state object as last known to be stored. Raises unless this broker leads."""
        return self._leading().committer.durable

    @property
    def writing(self) -> bool:
        """Whether a commit is under way."""
        return self._term is not None and self._term.committer.writing

    @property
    def waiting_claims(self) -> int:
        """How many claims wait here for a job."""
        return 0 if self._term is None else self._term.committer.waiting_claims

    @property
    def backlog(self) -> Backlog:
        """The ended jobs that are not in the archive yet."""
        if self._term is None:
            return Backlog(0, 0, None, sealed=False)
        return Backlog.of(self._term.committer.ends)

    @property
    def epoch(self) -> int:
        """The epoch that payload objects are written under now. Raises unless this broker leads."""
        return self._leading().committer.position[0]

    def expect_leading(self) -> None:
        """Raise what a request is refused with, unless there is a term that takes it."""
        if self._term is None:
            raise self._refusal()

    def _leading(self) -> Term:
        term = self._term
        if term is None or not term.committer.leads:
            raise self._refusal()
        return term

    def _refusal(self) -> OsqueueError:
        """Why a request is not taken while there is no term under way."""
        if self._life is None:
            return starting_error()
        if self._end is not None:
            return stopping_error()
        if self._leadership.halted is not None:
            return halted_error(self._leadership.halted)
        return standby_error(self._election.leader)

    # Requests

    async def ask(self, op: Op, *, size: int = 0, consistent: bool = False) -> Held:
        """Have an operation applied; returns it with its outcome, once that is true for good.

        Raises what the request was refused with. A caller that goes away changes nothing.
        """
        return await self._desk.ask(op, size=size, consistent=consistent)

    async def claim(
        self, op: Claim, *, wait_ms: int, caller: Caller, follow: Follow | None = None
    ) -> Held:
        """Have a claim applied, waiting for a job if need be.

        When the caller goes away, what was granted is released, unless another request of the
        same claim is under way or has brought it; raises `CallerGoneError` then. When ``follow``
        fails, a claim that cannot be repeated is released, too.
        """
        return await self._desk.claim(op, wait_ms=wait_ms, caller=caller, follow=follow)

    def listen(self, *, wanted: bool) -> None:
        """Have ``listener`` told what durable commits have changed, until the term is over, or no
        more. Raises unless this broker leads.
        """
        if wanted:
            self._leading().listen(wanted=True)
        elif self._term is not None:
            self._term.listen(wanted=False)

    def await_ends(self) -> None:
        """``awaited`` has changed: a leader hears of every end by itself."""

    def discard(self, keys: Iterable[str]) -> None:
        """Delete payload objects that no commit names or will name, in the background."""
        self._desk.discard(keys)


def _start_error(end: End, where: str) -> OsqueueError:
    match end.reason:
        case EndReason.CORRUPT:
            return CorruptStateError(f"{where}: {end.message}")
        case _:
            return BrokerLeadershipError(end.message, leader=end.leader)


def _tell_of_fault(duty: asyncio.Task[None]) -> None:
    error = None if duty.cancelled() else duty.exception()
    if error is not None:
        logger.error("a duty of the leader failed inside, and rests until the next", exc_info=error)


def _unready(end: End | None) -> str:
    return end.message if end else "the store does not confirm our commits"
