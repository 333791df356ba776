"""The engine of one queue: performs what the committer asks for, and decides nothing.

All of it runs on one event loop; the committer is only touched from there, between awaits. Reads
and writes of the store run as tasks and come back as events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, assert_never

import msgspec

from osqueue.clock import Clock, Entropy
from osqueue.config import BrokerSettings
from osqueue.engine.archiver import Backlog
from osqueue.engine.committer import Committer, Identity
from osqueue.engine.intake import Intake, Waiting
from osqueue.engine.leadership import Leadership, Probe
from osqueue.engine.refusals import starting_error, stopping_error
from osqueue.engine.requests import (
    Action,
    Check,
    End,
    EndReason,
    Held,
    Instant,
    Notice,
    ReadBack,
    Save,
    Write,
)
from osqueue.engine.storeio import read_object, save_object, write_object
from osqueue.errors import (
    BrokerLeadershipError,
    CorruptStateError,
    OsqueueError,
    StoreUnavailableError,
)
from osqueue.model.job import Moment
from osqueue.model.ops import Claim, Op
from osqueue.storage.protocol import Paced, Store, layers

__all__ = ["Caller", "CallerGoneError", "Engine", "EngineStatus"]

logger = logging.getLogger("osqueue.engine")


class CallerGoneError(Exception):
    """Whoever asked is not there any more: there is nobody to answer."""


class Caller:
    """Somebody who waits for an answer, and may go away meanwhile."""

    __slots__ = ("gone", "ticket")

    def __init__(self) -> None:
        self.gone = False
        self.ticket: asyncio.Future[None] | None = None

    def leave(self) -> None:
        """The caller has gone away."""
        self.gone = True
        if self.ticket is not None:
            self.ticket.cancel()


class EngineStatus(msgspec.Struct, frozen=True, rename="camel"):
    """How the engine is doing. ``commits`` counts the durable ones of this leader."""

    ready: bool
    role: str
    epoch: int
    commits: int
    state_bytes: int
    leader: str | None
    reason: str | None


class Engine:
    """Takes a queue, commits until it is stopped or loses its place."""

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
        self._pace = next((layer for layer in layers(store) if isinstance(layer, Paced)), None)
        self._key = key
        self._address = address
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._waiting = waiting
        self._leadership = Leadership(
            store, key, address=address, settings=settings, clock=clock, probe=probe
        )
        self._committer: Committer | None = None
        self._claims: dict[str, Held] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._progress = asyncio.Event()
        self.broker_id = entropy.token()
        self.ended = asyncio.Event()
        """Set once leadership is over, for whatever reason."""

    @property
    def end(self) -> End | None:
        """Why leadership is over."""
        return None if self._committer is None else self._committer.ended

    async def start(self) -> None:
        """Take the queue. Returns when the first commit under the new epoch is durable."""
        while True:
            await self._take()
            assert self._committer is not None, "just made"
            while not self._committer.leads and self._committer.ended is None:
                self._progress.clear()
                await self._progress.wait()
            end = self._committer.ended
            if end is None:
                epoch = self._committer.position[0]
                logger.info("leadership is taken: %s, epoch %d", self._key, epoch)
                return
            if end.reason is not EndReason.FENCED:
                raise _start_error(end, f"{self._store.url} {self._key}")
            logger.info("another broker was faster: %s", end.message)
            self.ended.clear()

    async def stop(self) -> None:
        """Commit what is pending, give leadership back; give up after the drain time."""
        if self._committer is not None and self._committer.ended is None:
            self._committer.stop(self._now())
            self._after_event()
            try:
                async with asyncio.timeout(self._settings.drain_ms / 1_000):
                    await self.ended.wait()
            except TimeoutError:
                self._committer.abandon(self._now())
                self._after_event()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def status(self) -> EngineStatus:
        """How the engine is doing now."""
        committer = self._committer
        if committer is None:
            return EngineStatus(
                ready=False, role="candidate", epoch=0, commits=0, state_bytes=0, leader=None,
                reason="the queue has not been taken yet",
            )  # fmt: skip
        timeout = self._settings.leadership.heartbeat_timeout_ms
        ready = committer.confirmed_within(timeout, self._clock.mono_ms())
        end = committer.ended
        reason = end.message if end else "the store does not confirm our commits"
        return EngineStatus(
            ready=ready,
            role="leader" if committer.leads else "none",
            epoch=committer.position[0],
            commits=committer.position[1],
            state_bytes=len(committer.durable),
            leader=self._address if end is None else end.leader,
            reason=None if ready else reason,
        )

    @property
    def durable(self) -> bytes:
        """The state object as last known to be stored."""
        return b"{}" if self._committer is None else self._committer.durable

    @property
    def backlog(self) -> Backlog:
        """The ended jobs that are not in the archive yet."""
        if self._committer is None:
            return Backlog(0, 0, None, sealed=False)
        ends = self._committer.ends
        oldest = ends.finished.oldest()
        return Backlog(
            len(ends.finished),
            ends.finished_bytes,
            None if oldest is None else oldest.ended_at,
            ends.outbox is not None,
        )

    async def ask(self, op: Op, *, size: int = 0, consistent: bool = False) -> Held:
        """Have an operation applied; returns it with its outcome, once that is true for good.

        Raises what the request was refused with. A caller that goes away changes nothing.
        """
        held = Held(op=op, size=size, consistent=consistent, ticket=self._new_ticket())
        self._arrive(held)
        return await _answer_of(held)

    async def claim(self, op: Claim, *, wait_ms: int, caller: Caller) -> Held:
        """Have a claim applied, waiting for a job if need be.

        When the caller goes away, what was granted is released, unless a repeated request of the
        same claim has taken its place; raises `CallerGoneError` then.
        """
        caller.ticket = ticket = self._new_ticket()
        held = Held(op=op, waits=wait_ms > 0, ticket=ticket)
        self._supersede(op.claim_id, held)
        timer = None
        try:
            self._arrive(held)
            if wait_ms > 0 and not held.answered:
                loop = asyncio.get_running_loop()
                timer = loop.call_later(wait_ms / 1_000, self._wait_over, held)
            await _answer_of(held)
            _expect_there(caller)
        except (asyncio.CancelledError, CallerGoneError):
            self._withdraw(held)
            if caller.gone:
                raise CallerGoneError from None
            raise
        else:
            return held
        finally:
            self._settle(held)
            if timer is not None:
                timer.cancel()

    def _settle(self, held: Held) -> None:
        claim_id = held.op.claim_id if isinstance(held.op, Claim) else None
        if claim_id is not None and self._claims.get(claim_id) is held:
            del self._claims[claim_id]

    def _withdraw(self, held: Held) -> None:
        if self._committer is not None and not held.superseded:
            self._tell(self._committer.withdraw, held)

    def _supersede(self, claim_id: str | None, held: Held) -> None:
        if claim_id is None:
            return
        before = self._claims.get(claim_id)
        if before is not None:
            before.superseded = True
            self._wait_over(before)
        self._claims[claim_id] = held

    def _wait_over(self, held: Held) -> None:
        if self._committer is not None:
            self._tell(self._committer.wait_over, held)

    def _new_ticket(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    def _arrive(self, held: Held) -> None:
        if self._committer is None:
            raise starting_error()
        self._tell(self._committer.arrive, held)
        if self._committer.ended is not None and not held.answered:
            raise stopping_error()  # it failed inside before it took the request

    def _tell(self, event: Callable[[Held, Instant], None], held: Held) -> None:
        try:
            event(held, self._now())
            self._after_event()
        except Exception as error:  # noqa: BLE001 - a fault of our own must not go unnoticed
            self._fail(error)

    async def _take(self) -> None:
        place = await self._leadership.acquire()
        now = self._now()
        state = place.open(self._settings.limits, Moment(now.wall, now.mono))
        leadership = self._settings.leadership
        identity = Identity(
            place.epoch, self._address, self.broker_id, leadership.heartbeat_interval_ms
        )
        fixed = None if place.base is None else place.base.data
        intake = Intake(state, fixed, waiting=self._waiting(), settings=self._settings.commit)
        self._committer = Committer(
            intake,
            place.base,
            identity=identity,
            jitter=self._entropy.jitter,
            commit=self._settings.commit,
            leadership=leadership,
            now=now,
        )
        self._step()

    # The loop: every event is followed by what it asks for, and at most one step an iteration

    def _now(self) -> Instant:
        return Instant(self._clock.wall_ms(), self._clock.mono_ms())

    def _after_event(self) -> None:
        self._perform()
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._step)

    def _step(self) -> None:
        self._scheduled = False
        committer = self._committer
        assert committer is not None, "steps begin with the committer"
        try:
            self._work(committer, self._now())
            self._perform()
            if committer.ended is None:
                self._set_timer(committer)
        except Exception as error:  # noqa: BLE001 - the outermost loop
            self._fail(error)

    def _work(self, committer: Committer, now: Instant) -> None:
        committer.tick(now)
        if self._pace is not None and committer.wants_commit(now):
            committer.hold_back(now.mono + self._pace.write_ready_in_ms(self._key))
        if committer.wants_commit(now):
            began = self._clock.cpu_us()
            committer.begin(now)
            committer.encode_took(self._clock.cpu_us() - began)

    def _fail(self, error: Exception) -> None:
        """A fault of our own: end, so that everybody is told and another can lead."""
        assert self._committer is not None, "only what runs can fail"
        logger.error("the engine failed inside; this broker stops leading", exc_info=error)
        self._committer.abandon(self._now(), "the engine failed inside")
        self._perform()

    def _set_timer(self, committer: Committer) -> None:
        now = self._now()
        wake_at = committer.next_wake(now)
        if self._timer is not None:
            if not self._timer.cancelled() and now.mono < self._timer_at <= wake_at:
                return
            self._timer.cancel()
        self._timer_at = wake_at
        delay_s = max(0, wake_at - now.mono) / 1_000
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None  # it may have come early: then it must be set again
        self._step()

    def _perform(self) -> None:
        assert self._committer is not None, "nothing to perform before"
        actions, answers = self._committer.take()
        for held in answers:
            if held.ticket is not None and not held.ticket.done():
                held.ticket.set_result(None)
        for action in actions:
            self._act(action)
        self._progress.set()

    def _act(self, action: Action) -> None:
        match action:
            case Write():
                self._spawn(self._write(action), "write")
            case ReadBack():
                self._spawn(self._read_back(), "read back")
            case Check():
                self._spawn(self._check(action), "check")
            case Save():
                self._spawn(self._save(action), "save")
            case Notice(message, error):
                logger.log(logging.ERROR if error else logging.WARNING, "%s", message)
            case End():
                self._log_end(action)
                self.ended.set()
            case _:  # pragma: no cover
                assert_never(action)

    def _log_end(self, end: End) -> None:
        clean = end.reason is EndReason.RELEASED
        logger.log(logging.INFO if clean else logging.ERROR, "leadership is over: %s", end.message)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"osqueue {name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._fail(error)

    async def _write(self, action: Write) -> None:
        committer = self._committer
        result = await write_object(self._store, self._key, action)
        if committer is not None and committer.ended is None:
            committer.written(result, self._now())
            self._after_event()

    async def _read_back(self) -> None:
        committer = self._committer
        result = await read_object(self._store, self._key)
        if committer is not None and committer.ended is None:
            committer.read_back(result, self._now())
            self._after_event()

    async def _check(self, action: Check) -> None:
        committer = self._committer
        result = await read_object(self._store, self._key, unless=action.unless)
        if committer is not None and committer.ended is None:
            committer.checked(result, action, self._now())
            self._after_event()

    async def _save(self, action: Save) -> None:
        committer = self._committer
        where = await save_object(self._store, f"{self._key}.{action.suffix}", action.data)
        if committer is not None and committer.ended is None:
            committer.saved(where, self._now())
            self._after_event()


async def _answer_of(held: Held) -> Held:
    assert isinstance(held.ticket, asyncio.Future), "somebody waits for it"
    await held.ticket
    if held.error is not None:
        raise held.error
    return held


def _expect_there(caller: Caller) -> None:
    """It may have left after the answer, before hearing it."""
    if caller.gone:
        raise CallerGoneError


def _start_error(end: End, where: str) -> OsqueueError:
    match end.reason:
        case EndReason.CORRUPT:
            return CorruptStateError(f"{where}: {end.message}")
        case EndReason.UNWRITABLE:
            return StoreUnavailableError(f"{where} cannot be written: {end.message}")
        case _:
            return BrokerLeadershipError(end.message, leader=end.leader)
