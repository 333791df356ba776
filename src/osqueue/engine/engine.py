"""The engine of one queue: performs what the committer asks for, and decides nothing.

All of it runs on one event loop; the committer is only touched from there, between awaits. Reads
and writes of the store run as tasks and come back as events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, assert_never

import msgspec

from osqueue.clock import Clock, Entropy
from osqueue.config import BrokerSettings, QueueLimits
from osqueue.engine.archiver import Backlog
from osqueue.engine.callers import Caller, Claims, Follow, answer_of, new_ticket
from osqueue.engine.committer import Committer, Identity
from osqueue.engine.intake import Intake, Waiting
from osqueue.engine.leadership import Leadership, Probe
from osqueue.engine.payloads import PayloadObjects
from osqueue.engine.refusals import not_leading_error, starting_error, stopping_error
from osqueue.engine.requests import (
    BEFORE,
    Action,
    Check,
    Discard,
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
from osqueue.engine.sweeper import Sweeper
from osqueue.errors import (
    BrokerLeadershipError,
    CorruptStateError,
    OsqueueError,
    StoreUnavailableError,
)
from osqueue.model.job import Moment
from osqueue.model.ops import Claim, GetPayloadKeys, Op
from osqueue.model.outcomes import PayloadKeys
from osqueue.storage.protocol import Paced, Store, layers

__all__ = ["Engine", "EngineStatus"]

logger = logging.getLogger("osqueue.engine")


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
        self.payloads = PayloadObjects(store, settings.payloads, entropy=entropy)
        self._committer: Committer | None = None
        self._claims = Claims(self)
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._progress = asyncio.Event()
        self._stopped = False
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
                self._spawn(self._sweep(), "sweep")
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
        self._stopped = True
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
        return Backlog.of(self._committer.ends)

    async def ask(self, op: Op, *, size: int = 0, consistent: bool = False) -> Held:
        """Have an operation applied; returns it with its outcome, once that is true for good.

        Raises what the request was refused with. A caller that goes away changes nothing.
        """
        held = Held(op=op, size=size, consistent=consistent, ticket=new_ticket())
        self.arrive(held)
        return await answer_of(held)

    @property
    def limits(self) -> QueueLimits:
        """What bounds the queue's state."""
        return self._settings.limits

    def discard(self, keys: Iterable[str]) -> None:
        """Delete payload objects that no commit names or will name, in the background."""
        keys = tuple(keys)
        if keys and not self._stopped:  # the sweeper gets them otherwise
            self._spawn(self.payloads.discard(keys), "discard")

    @property
    def epoch(self) -> int:
        """The epoch that payload objects are written under now. Raises unless this broker leads."""
        if self._committer is None:
            raise starting_error()
        end = self._committer.ended
        if end is not None:
            raise not_leading_error(end.message, end.leader)
        if not self._committer.leads:
            raise starting_error()
        return self._committer.position[0]

    async def claim(
        self, op: Claim, *, wait_ms: int, caller: Caller, follow: Follow | None = None
    ) -> Held:
        """Have a claim applied, waiting for a job if need be.

        When the caller goes away, what was granted is released, unless a repeated request of the
        same claim has taken its place; raises `CallerGoneError` then. When ``follow`` fails, a
        claim that cannot be repeated is released, too.
        """
        return await self._claims.claim(op, wait_ms=wait_ms, caller=caller, follow=follow)

    # The desk at which claims are handed in

    def wait_over(self, held: Held) -> None:
        """A claim has waited as long as it asked for."""
        if self._committer is not None:
            self._tell(self._committer.wait_over, held)

    def withdraw(self, held: Held) -> None:
        """The caller of a request has gone away."""
        if self._committer is not None:
            self._tell(self._committer.withdraw, held)

    def arrive(self, held: Held) -> None:
        """Hand in a request. Raises when nobody takes it."""
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
                self._spawn(self._read_back(action), "read back")
            case Check():
                self._spawn(self._check(action), "check")
            case Save():
                self._spawn(self._save(action), "save")
            case Discard(keys):
                self.discard(keys)
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

    async def _read_back(self, action: ReadBack) -> None:
        committer = self._committer
        result = await read_object(self._store, self._key, unless=action.unless)
        if committer is not None and committer.ended is None:
            committer.read_back(result, self._now())
            self._after_event()

    async def _sweep(self) -> None:
        sweeper = Sweeper(
            self._store,
            self.payloads,
            self._settings.payloads,
            entropy=self._entropy,
            named=self._named_payloads,
            copies=f"{self._key}.{BEFORE}",
        )
        sweeping = asyncio.ensure_future(sweeper.run(lambda: self.epoch))
        ended = asyncio.ensure_future(self.ended.wait())
        try:
            await asyncio.wait({sweeping, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sweeping.cancel()
            ended.cancel()
            await asyncio.gather(sweeping, ended, return_exceptions=True)

    async def _named_payloads(self) -> frozenset[str]:
        held = await self.ask(GetPayloadKeys(), consistent=True)
        assert isinstance(held.outcome, PayloadKeys), "looking cannot be refused"
        return held.outcome.keys

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


def _start_error(end: End, where: str) -> OsqueueError:
    match end.reason:
        case EndReason.CORRUPT:
            return CorruptStateError(f"{where}: {end.message}")
        case EndReason.UNWRITABLE:
            return StoreUnavailableError(f"{where} cannot be written: {end.message}")
        case _:
            return BrokerLeadershipError(end.message, leader=end.leader)
