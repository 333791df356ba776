"""One run of a committer: performs what it asks for, and decides nothing.

All of it runs on one event loop; the committer is only touched from there, between awaits. Reads
and writes of the store run as tasks and come back as events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol, assert_never

from osqueue.clock import Clock
from osqueue.engine.committer import Committer
from osqueue.engine.observer import Observer, Observers
from osqueue.engine.refusals import stopping_error
from osqueue.engine.requests import (
    Action,
    Check,
    Discard,
    End,
    EndReason,
    Held,
    Instant,
    JobsOver,
    Landed,
    Notice,
    Publish,
    ReadBack,
    Save,
    Write,
)
from osqueue.engine.storeio import read_object, save_object, write_object
from osqueue.storage.protocol import Paced, Store, layers

__all__ = ["Listener", "Term", "read_instant"]

logger = logging.getLogger("osqueue.engine")


class Listener(Protocol):
    """Is told what durable commits have changed, and when there will be no more of them."""

    def published(self, publish: Publish) -> None:
        """A commit is durable. The first that is told has no events, or not all of them."""
        ...

    def jobs_over(self, over: JobsOver) -> None:
        """Jobs whose end is awaited have ended, durable or not."""
        ...

    def over(self, end: End) -> None:
        """The term is over."""
        ...


class Term:
    """Runs one committer until it ends. ``discard`` takes the payload objects that it gives up."""

    def __init__(
        self,
        committer: Committer,
        store: Store,
        key: str,
        *,
        clock: Clock,
        discard: Callable[[Iterable[str]], None],
    ) -> None:
        self.committer = committer
        self.ended = asyncio.Event()
        """Set once it is over, for whatever reason."""
        self._store = store
        self._pace = next((layer for layer in layers(store) if isinstance(layer, Paced)), None)
        self._key = key
        self._clock = clock
        self._discard = discard
        self.listener: Listener | None = None
        self.observer: Observer = Observers()
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._progress = asyncio.Event()

    @property
    def end(self) -> End | None:
        """Why it is over."""
        return self.committer.ended

    @property
    def store_calls(self) -> int:
        """What the store has not answered yet."""
        return len(self._tasks)

    async def decided(self) -> bool:
        """Begin, and wait until the first commit is durable (true), or it is over."""
        self._step()
        while not self.committer.leads and self.committer.ended is None:
            self._progress.clear()
            await self._progress.wait()
        return self.committer.ended is None

    async def stop(self, drain_ms: int) -> None:
        """Commit what is pending and end; give up after the drain time."""
        if self.committer.ended is None:
            self.committer.stop(self._now())
            self._after_event()
            try:
                async with asyncio.timeout(drain_ms / 1_000):
                    await self.ended.wait()
            except TimeoutError:
                self.committer.abandon(self._now())
                self._after_event()

    async def close(self) -> None:
        """Give up what is under way. Whoever waits still, after a fault, is told."""
        self.committer.abandon(self._now(), "the engine broke off", EndReason.FAILED)
        self._perform()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    # Requests

    def arrive(self, held: Held) -> None:
        """Hand in a request. Raises when nobody takes it."""
        self._tell(self.committer.arrive, held)
        if self.committer.ended is not None and not held.answered:
            raise stopping_error()  # it failed inside before it took the request

    def wait_over(self, held: Held) -> None:
        """A claim has waited as long as it asked for."""
        self._tell(self.committer.wait_over, held)

    def withdraw(self, held: Held) -> None:
        """The caller of a request has gone away."""
        self._tell(self.committer.withdraw, held)

    def watch(self) -> None:
        """A standby has asked who leads."""
        self.committer.pulse.watch(self._clock.mono_ms())
        self._after_event()

    def listen(self, *, wanted: bool) -> None:
        """Tell the listener from now on what durable commits have changed, or no more."""
        self.committer.listen(wanted=wanted)
        self._after_event()

    def _tell(self, event: Callable[[Held, Instant], None], held: Held) -> None:
        try:
            event(held, self._now())
            self._after_event()
        except Exception as error:  # noqa: BLE001 - a fault of our own must not go unnoticed
            self._fail(error)

    # The loop: every event is followed by what it asks for, and at most one step an iteration

    def _now(self) -> Instant:
        return read_instant(self._clock)

    def _after_event(self) -> None:
        self._perform()
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._step)

    def _step(self) -> None:
        self._scheduled = False
        committer = self.committer
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
        logger.error("the engine failed inside; this broker stops leading", exc_info=error)
        self.committer.abandon(self._now(), "the engine failed inside", EndReason.FAILED)
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
        actions, answers = self.committer.take()
        for held in answers:
            if held.ticket is not None and not held.ticket.done():
                held.ticket.set_result(None)
        for action in actions:
            self._act(action)
        self._progress.set()

    def _act(self, action: Action) -> None:
        match action:
            case Write() | ReadBack() | Check() | Save():
                self._ask_store(action)
            case Discard(keys):
                self._discard(keys)
            case Landed():
                self.observer.committed(action)
            case Publish() | JobsOver():
                self._tell_listener(action)
            case Notice(message, error):
                logger.log(logging.ERROR if error else logging.WARNING, "%s", message)
            case End():
                self._log_end(action)
                self.ended.set()
                self._tell_listener(action)
            case _:  # pragma: no cover
                assert_never(action)

    def _ask_store(self, action: Write | ReadBack | Check | Save) -> None:
        match action:
            case Write():
                self._spawn(self._write(action), "write")
            case ReadBack():
                self._spawn(self._read_back(action), "read back")
            case Check():
                self._spawn(self._check(action), "check")
            case Save():
                self._spawn(self._save(action), "save")

    def look_again(self) -> None:
        """The end of another job is awaited: what is looked for may have changed."""
        self._after_event()

    def _tell_listener(self, action: Publish | JobsOver | End) -> None:
        """What goes wrong there must not end the term."""
        if self.listener is None:
            return
        try:
            match action:
                case Publish():
                    self.listener.published(action)
                case JobsOver():
                    self.listener.jobs_over(action)
                case End():
                    self.listener.over(action)
        except Exception:
            logger.exception("telling of a commit failed inside")

    def _log_end(self, end: End) -> None:
        clean = end.reason is EndReason.RELEASED
        what = "sharing the queue" if self.committer.shares else "leadership"
        logger.log(logging.INFO if clean else logging.ERROR, "%s is over: %s", what, end.message)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"osqueue {name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._fail(error)

    # The store

    async def _write(self, action: Write) -> None:
        result = await write_object(self._store, self._key, action)
        if self.committer.ended is None:
            self.committer.written(result, self._now())
            self._after_event()

    async def _read_back(self, action: ReadBack) -> None:
        result = await read_object(self._store, self._key, unless=action.unless)
        if self.committer.ended is None:
            self.committer.read_back(result, self._now())
            self._after_event()

    async def _check(self, action: Check) -> None:
        result = await read_object(self._store, self._key, unless=action.unless)
        if self.committer.ended is None:
            self.committer.checked(result, action, self._now())
            self._after_event()

    async def _save(self, action: Save) -> None:
        where = await save_object(self._store, f"{self._key}.{action.suffix}", action.data)
        if self.committer.ended is None:
            self.committer.saved(where, self._now())
            self._after_event()


def read_instant(clock: Clock) -> Instant:
    """The time now, by both clocks."""
    return Instant(clock.wall_ms(), clock.mono_ms())
