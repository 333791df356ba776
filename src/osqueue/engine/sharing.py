"""One process's part in a queue that nobody leads: a term that begins without an election.

It never runs beside a leader. At the start it stands by like a broker would, but only until a
leader has shown that it lives; later the committer meets it (`osqueue.engine.tenure`). Then this is
over, and whoever asks is told the leader's address.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import NoReturn

from osqueue.clock import Clock, Entropy
from osqueue.config import BrokerSettings, QueueLimits
from osqueue.engine.archiver import Backlog
from osqueue.engine.callers import Caller, Follow
from osqueue.engine.committer import Committer
from osqueue.engine.desk import TermDesk
from osqueue.engine.election import Election
from osqueue.engine.intake import Intake, Waiting
from osqueue.engine.leadership import MOVING_TIMEOUTS, Leadership, Place, Probe
from osqueue.engine.payloads import PayloadObjects
from osqueue.engine.refusals import (
    handover_error,
    leader_met_error,
    starting_error,
    unwatched_error,
)
from osqueue.engine.requests import End, EndReason, Held
from osqueue.engine.sweeper import Sweeper, named_payloads
from osqueue.engine.tenure import Sharing, led_by
from osqueue.engine.term import Listener, Term, read_instant
from osqueue.errors import BrokerLeadershipError, CorruptStateError, OsqueueError
from osqueue.model.job import Moment
from osqueue.model.ops import Claim, Op
from osqueue.model.snapshot import read_origin
from osqueue.storage.protocol import Store
from osqueue.wire.messages import BrokerStatus

__all__ = ["SharedEngine"]

logger = logging.getLogger("osqueue.engine")

ROLE = "sharing"


class SharedEngine:
    """Joins a queue, commits beside others, until it is stopped or meets a leader."""

    def __init__(
        self,
        store: Store,
        key: str,
        *,
        settings: BrokerSettings,
        clock: Clock,
        entropy: Entropy,
        waiting: Callable[[], Waiting],
        probe: Probe,
    ) -> None:
        self._store = store
        self._key = key
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._waiting = waiting
        self._election = Election("", "", settings=settings.leadership)
        self._leadership = Leadership(self._election, store, key, clock=clock, probe=probe)
        self.payloads = PayloadObjects(store, settings.payloads, entropy=entropy)
        self._term: Term | None = None
        self._desk = TermDesk(lambda: self._term, self.payloads, refusal=starting_error)
        self.broker_id = entropy.token()
        self._listener: Listener | None = None
        self.awaited: set[str] = set()
        """The jobs whose end somebody waits for; `listener` is told."""

    @property
    def end(self) -> End | None:
        """Why it is over."""
        return None if self._term is None else self._term.end

    @property
    def limits(self) -> QueueLimits:
        """What bounds the queue's state."""
        return self._settings.limits

    @property
    def listener(self) -> Listener | None:
        """Is told of the end, and of the ends of jobs that are awaited."""
        return self._listener

    @listener.setter
    def listener(self, listener: Listener | None) -> None:
        self._listener = listener
        if self._term is not None:
            self._term.listener = listener

    # Its life

    async def find(self) -> Place:
        """Where to begin; waits as long as a leader may be silent.

        Raises `BrokerLeadershipError` naming a leader that lives, `CorruptStateError`, and the
        store's errors.
        """
        chance = asyncio.ensure_future(self._leadership.chance())
        moving_ms = MOVING_TIMEOUTS * self._settings.leadership.heartbeat_timeout_ms
        meeting = asyncio.ensure_future(self._leadership.meet(moving_ms=moving_ms))
        try:
            await asyncio.wait({chance, meeting}, return_when=asyncio.FIRST_COMPLETED)
            if not chance.done():
                leader = meeting.result()
                raise leader_met_error(led_by(leader), leader)
            place = chance.result()
        finally:
            chance.cancel()
            meeting.cancel()
            await asyncio.gather(chance, meeting, return_exceptions=True)
        if place is None:
            raise BrokerLeadershipError(self._leadership.halted or "the queue cannot be joined")
        return place

    async def start(self, place: Place) -> None:
        """Join there. Returns when requests can be taken; raises like `find`."""
        term = self._term = self._open(place)
        if not await term.decided():
            end = term.end
            assert end is not None, "it is over"
            raise _start_error(end, f"{self._store.url} {self._key}")
        logger.info("joined: %s, epoch %d", self._key, term.committer.position[0])

    async def stop(self) -> None:
        """Commit what is pending; give up after the drain time."""
        if self._term is not None:
            await self._term.stop(self._settings.drain_ms)
        await self._desk.settle(self._settings.drain_ms)  # nobody else knows what may go
        await self._desk.close()
        if self._term is not None:
            await self._term.close()

    async def wait_ended(self) -> End:
        """Wait until it is over: a leader was met, or the state object is past our handling."""
        term = self._joined()
        await term.ended.wait()
        assert term.end is not None, "it is over"
        return term.end

    def _open(self, place: Place) -> Term:
        now = read_instant(self._clock)
        state = place.open(self._settings.limits, Moment(now.wall, now.mono))
        data = None if place.base is None else place.base.data
        committer = Committer(
            Intake(
                state,
                data,
                waiting=self._waiting(),
                settings=self._settings.commit,
                awaited=self.awaited,
            ),
            place.base,
            identity=_tenure(place, self._entropy.token()),
            jitter=self._entropy.jitter,
            commit=self._settings.commit,
            leadership=self._settings.leadership,
            now=now,
        )
        term = Term(committer, self._store, self._key, clock=self._clock, discard=self.discard)
        term.listener = self._listener
        return term

    def _joined(self) -> Term:
        if self._term is None:
            raise starting_error()
        return self._term

    # How it is doing

    def status(self) -> BrokerStatus:
        """How it is doing now."""
        term = self._joined()
        committer, end = term.committer, term.end
        return BrokerStatus(
            ready=committer.leads,
            role=ROLE,
            address="",
            broker_id=self.broker_id,
            leader=None if end is None else end.leader,
            epoch=committer.position[0],
            commits=committer.position[1],
            state_bytes=len(committer.durable),
            reason=None if end is None else end.message,
            paused=committer.leads and committer.paused,
        )

    async def watched(self, _broker_id: str, _address: str, *, wait_ms: int) -> BrokerStatus:  # noqa: ARG002 - nobody stands by for it
        """The same: nobody stands by for one who does not lead."""
        return self.status()

    async def hand_over(self) -> None:
        """There is nothing to give."""
        raise handover_error("no broker leads")

    @property
    def durable(self) -> bytes:
        """The state object as last known to be stored."""
        return self._joined().committer.durable

    @property
    def backlog(self) -> Backlog:
        """The ended jobs that are not in the archive yet."""
        return Backlog.of(self._joined().committer.ends)

    @property
    def epoch(self) -> int:
        """The epoch that payload objects are written under now. Raises once this is over."""
        self.expect_leading()
        return self._joined().committer.position[0]

    def expect_leading(self) -> None:
        """Raise what a request is refused with, unless there is a term that takes it."""
        end = self._joined().end
        if end is not None:
            raise leader_met_error(end.message, end.leader)

    # Requests

    async def ask(self, op: Op, *, size: int = 0, consistent: bool = False) -> Held:
        """Have an operation applied; returns it with its outcome, once that is true for good."""
        return await self._desk.ask(op, size=size, consistent=consistent)

    async def claim(
        self, op: Claim, *, wait_ms: int, caller: Caller, follow: Follow | None = None
    ) -> Held:
        """Have a claim applied, waiting for a job if need be; see `Engine.claim`."""
        return await self._desk.claim(op, wait_ms=wait_ms, caller=caller, follow=follow)

    def listen(self, *, wanted: bool) -> None:
        """What others commit cannot be told: raises `BrokerProtocolError`."""
        if wanted:
            raise unwatched_error()

    def await_ends(self) -> None:
        """``awaited`` has changed."""
        if self._term is not None and self._term.end is None:
            self._term.look_again()

    async def sweep(self) -> NoReturn:
        """Delete payload objects that nobody names, now and then, until cancelled: those that could
        not be deleted at once, and those of lower epochs. What others have left behind of this one
        may be about to be named: the next epoch's sweepers look for it.
        """
        sweeper = Sweeper(
            self._store,
            self.payloads,
            self._settings.payloads,
            entropy=self._entropy,
            named=partial(named_payloads, self),
            key=self._key,
        )
        await sweeper.run(self._durable_epoch)

    def _durable_epoch(self) -> int:
        """The epoch that no commit from now on is below. Ours may be higher already, and unknown to
        others until we have written: a sweep below it would delete what they are about to name.
        """
        self.expect_leading()
        return read_origin(self.durable).epoch or 0

    def discard(self, keys: Iterable[str]) -> None:
        """Delete payload objects that no commit names or will name, in the background."""
        self._desk.discard(keys)


def _tenure(place: Place, token: str) -> Sharing:
    """Nobody leads: the version is built upon as it is. Otherwise the place is taken first."""
    origin = None if place.base is None else read_origin(place.base.data)
    if origin is None or origin.broker is not None or None in {origin.epoch, origin.commit}:
        return Sharing.named(token, epoch=place.epoch, takes=True)
    return Sharing.named(token, epoch=origin.epoch or 0, takes=False)


def _start_error(end: End, where: str) -> OsqueueError:
    if end.reason is EndReason.CORRUPT:
        return CorruptStateError(f"{where}: {end.message}")
    return BrokerLeadershipError(f"{where}: {end.message}", leader=end.leader)
