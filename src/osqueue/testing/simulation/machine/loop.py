"""An event loop with a time of its own: an hour takes as long as what happens in it.

All processes of a simulated world run on it, each as if it had a loop and a thread for itself: what
a process begins belongs to it, by the context that asyncio hands on. So one of them can be held,
slowed or killed between any two steps while the others go on.

It has no threads, sockets or signals: whoever asks for one gets `NotImplementedError`. Tasks and
futures have hashes that count up, so a set of them has the same order in every run.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import warnings
from asyncio import events
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from heapq import heapify, heappop, heappush
from math import ceil
from typing import Any, Final, NamedTuple, TypeVar, TypeVarTuple

from osqueue.testing.simulation.machine.dice import Dice

__all__ = ["Census", "Life", "SimulatedLoop", "StuckError"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

STEP_US: Final = 20
"""What one step of any process takes: so nothing goes on for ever in no time."""

STEPS_MAX: Final = 2_000_000
"""Steps after which a run is taken for one that spins: many times what any takes."""


class StuckError(AssertionError):
    """The world stands still, or spins, before its time is up."""


class Life:
    """One life of a process, from its start to its end: whose steps are taken, and when.

    ``offset_us`` and ``rate`` make the process's own time of the world's.
    """

    def __init__(self, name: str, *, offset_us: int = 0, rate: float = 1.0) -> None:
        self.name = name
        self.offset_us = offset_us
        self.rate = rate
        self.alive = True
        self.held = False
        self.steps_left: int | None = None
        """Steps until it dies, if that has been fixed."""
        self.died: Callable[[], None] | None = None
        """Is called when those are over."""
        self.ready: deque[_Handle] = deque()
        self.came: list[_Handle] = []
        """What has come from outside while it was held."""
        self.overdue: list[_Handle] = []
        """Its timers that have gone off meanwhile."""
        self.tasks: list[asyncio.Task[Any]] = []

    def clear(self) -> None:
        """Nothing is left to do."""
        for each in (self.ready, self.came, self.overdue):
            each.clear()

    def own_us(self, world_us: int) -> int:
        """The process's monotonic time."""
        return self.offset_us + int(world_us * self.rate)

    def world_us(self, own_us: int) -> int:
        """The world's time at which it will be that late for the process."""
        return ceil((own_us - self.offset_us) / self.rate)


class Census(NamedTuple):
    """What a process has under way."""

    tasks: int
    timers: int


_LIFE: ContextVar[Life] = ContextVar("osqueue simulated process")


class SimulatedLoop(asyncio.AbstractEventLoop):
    """Runs all that the processes of one world do, in an order that ``dice`` decide."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._now_us = 0
        self._world = Life("world")
        self._timers: list[tuple[int, int, _Handle]] = []
        self._lives: list[Life] = [self._world]
        self._runnable: list[Life] = []
        self._numbers = 0
        self._steps = 0
        self._running = False
        self._closed = False
        self.faults: list[str] = []
        """Exceptions that nobody has taken, as asyncio tells them."""

    # The world's side

    @property
    def now_us(self) -> int:
        """The world's time, in microseconds since its beginning."""
        return self._now_us

    @property
    def steps(self) -> int:
        """Steps that were taken so far, by all processes."""
        return self._steps

    @property
    def life(self) -> Life:
        """Whose step this is."""
        return _LIFE.get(self._world)

    def run(self, *, until_s: float) -> None:
        """Let the world go on until a time.

        Raises `StuckError` when nothing can ever happen any more, or without end at one moment.
        """
        until_us = int(until_s * 1_000_000)
        with self._entered():
            while self._now_us < until_us:
                if self._runnable:
                    self._turn()
                else:
                    self._pass_time(until_us)
        if self._steps > STEPS_MAX:
            raise StuckError(f"{STEPS_MAX} steps were taken by {self.time():.3f} s")

    def begin(self, life: Life, main: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Start a process, as a life that has not been."""
        self._lives.append(life)
        context = copy_context()
        context.run(_LIFE.set, life)
        context.run(self.create_task, self._noticed(main))

    async def _noticed(self, main: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """A process that nobody waits for must not fail without a word."""
        try:
            await main()
        except Exception as error:  # noqa: BLE001 - as whoever runs a program's main function
            self.call_exception_handler({"message": "a process failed", "exception": error})

    def within(self, life: Life, act: Callable[[], None], *, after_s: float = 0) -> None:
        """Do something as a step of a process, unless it is dead by then."""
        context = copy_context()
        context.run(_LIFE.set, life)
        self._at(self._now_us + int(after_s * 1_000_000), _Handle(act, (), context, life))

    def outside(self, act: Callable[[], None], *, after_s: float = 0) -> None:
        """Do something that is no process's."""
        self.within(self._world, act, after_s=after_s)

    def census(self) -> dict[Life, Census]:
        """What each process that lives has begun and not ended."""
        self._timers = [each for each in self._timers if not each[2].is_void]
        heapify(self._timers)
        timers = Counter(handle.life for _, _, handle in self._timers)
        census: dict[Life, Census] = {}
        for life in self._lives:
            if life.alive:
                life.tasks = [each for each in life.tasks if not each.done()]
                census[life] = Census(len(life.tasks), timers[life])
        return census

    def hold(self, life: Life) -> None:
        """Take no more steps of a process until it is let go."""
        life.held = True
        self._settle(life)

    def let_go(self, life: Life) -> None:
        """Go on with a process. What has come in the meantime is there at once, in any order, and
        after it what has become due: a real loop asks its sockets first.
        """
        life.held = False
        while life.came:
            life.ready.append(life.came.pop(self._dice.whole(0, len(life.came) - 1)))
        life.ready.extend(life.overdue)
        life.overdue.clear()
        self._settle(life)

    def kill(self, life: Life) -> None:
        """Take no more steps of a process, ever."""
        life.alive = False
        life.clear()
        self._settle(life)

    def close(self) -> None:
        """Forget all that was under way, without a word. Call it when nothing else refers to the
        processes any more: then they fall apart in here.
        """
        self._closed = True
        with self._entered(), _unheard():
            self._forget()
            for _ in range(3):  # what a `finally` brings back to life falls apart the next time
                if gc.collect() == 0:
                    break

    def _forget(self) -> None:
        for life in self._lives:
            for task in life.tasks:
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001
            life.tasks.clear()
            life.clear()
            life.died = None
        for forgotten in (self._lives, self._runnable, self._timers):
            forgotten.clear()

    @contextmanager
    def _entered(self) -> Generator[None]:
        collects = gc.isenabled()
        gc.disable()  # when it runs, and so what it finalizes, is not ours to say
        before = events._get_running_loop()  # noqa: SLF001 - what a loop is to call
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=self._left_alone)
        events._set_running_loop(self)  # noqa: SLF001
        self._running = True
        try:
            yield
        finally:
            self._running = False
            events._set_running_loop(before)  # noqa: SLF001
            sys.set_asyncgen_hooks(*hooks)
            if collects:
                gc.enable()

    def _left_alone(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Nobody reads on in it: it is closed, as every loop does."""
        if not self._closed:
            self.create_task(generator.aclose())

    def _turn(self) -> None:
        """One step of a process that is ready for one; those that came first in it come first."""
        runnable = self._runnable
        life = runnable[0] if len(runnable) == 1 else self._dice.pick(runnable)
        handle = life.ready.popleft()
        if not life.ready:
            runnable.remove(life)
        self._steps += 1
        self._now_us += STEP_US
        if not handle.is_cancelled:
            handle.run(self)
        if life.steps_left is not None:
            self._count_down(life)
        self._ring()

    def _count_down(self, life: Life) -> None:
        assert life.steps_left is not None
        life.steps_left -= 1
        if life.steps_left <= 0:
            life.steps_left = None
            self.kill(life)
            if life.died is not None:
                life.died()

    def _pass_time(self, until_us: int) -> None:
        while self._timers and self._timers[0][2].is_void:
            heappop(self._timers)
        if not self._timers:
            raise StuckError("nobody waits for anything, and nothing will ever happen")
        self._now_us = max(self._now_us, min(self._timers[0][0], until_us))
        self._ring()

    def _ring(self) -> None:
        """What is due is ready."""
        timers, now_us = self._timers, self._now_us
        while timers and timers[0][0] <= now_us:
            handle = heappop(timers)[2]
            if not handle.is_void:
                self._ready(handle)

    def _ready(self, handle: _Handle) -> None:
        life = handle.life
        if not life.alive or self._closed:
            return
        if life.held:
            (life.came if handle.when_s is None else life.overdue).append(handle)
            return
        life.ready.append(handle)
        if len(life.ready) == 1:
            self._runnable.append(life)

    def _settle(self, life: Life) -> None:
        runs = bool(life.ready) and not life.held
        if runs and life not in self._runnable:
            self._runnable.append(life)
        elif not runs and life in self._runnable:
            self._runnable.remove(life)

    def _at(self, when_us: int, handle: _Handle) -> None:
        if handle.life.alive and not self._closed:
            self._numbers += 1
            heappush(self._timers, (when_us, self._numbers, handle))

    def number(self) -> int:
        """A number that was not given before."""
        self._numbers += 1
        return self._numbers

    # What asyncio asks of a loop

    def time(self) -> float:
        return self.life.own_us(self._now_us) / 1_000_000

    def call_soon(  # type: ignore[override]
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> _Handle:
        context = copy_context() if context is None else context
        handle = _Handle(callback, args, context, context.get(_LIFE, self._world))
        self._ready(handle)
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> _Handle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> _Handle:
        context = copy_context() if context is None else context
        life = context.get(_LIFE, self._world)
        handle = _Handle(callback, args, context, life, when)
        self._at(life.world_us(ceil(when * 1_000_000)), handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return _Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        context = copy_context() if context is None else context
        task = _Task(coro, loop=self, name=name, context=context)
        life = context.get(_LIFE, self._world)
        if self._closed:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001
            return task
        life.tasks.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._closed:
            self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)


class _Handle:
    """A step that is to be taken; what asyncio knows as a handle, or one of a timer."""

    __slots__ = ("args", "callback", "context", "is_cancelled", "life", "when_s")

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context,
        life: Life,
        when_s: float | None = None,
    ) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = context
        self.life = life
        self.when_s = when_s
        self.is_cancelled = False

    @property
    def is_void(self) -> bool:
        """Whether it will never be taken."""
        return self.is_cancelled or not self.life.alive

    def run(self, loop: SimulatedLoop) -> None:
        assert self.callback is not None
        try:
            self.context.run(self.callback, *self.args)
        except Exception as error:  # noqa: BLE001 - as every loop does
            loop.call_exception_handler({"message": "a callback failed", "exception": error})

    def cancel(self) -> None:
        self.is_cancelled = True
        self.callback, self.args = None, ()

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        assert self.when_s is not None, "it is a timer"
        return self.when_s


class _Future(asyncio.Future[Any]):
    """A future whose place in a set does not hang on where it lies in memory."""

    def __init__(self, *, loop: SimulatedLoop) -> None:
        super().__init__(loop=loop)
        self.number = loop.number()

    def __hash__(self) -> int:
        return self.number


class _Task(asyncio.Task[T]):
    """The same of a task."""

    def __init__(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        loop: SimulatedLoop,
        name: str | None,
        context: Context,
    ) -> None:
        self.number = loop.number()  # asyncio hashes it while it is made
        super().__init__(coro, loop=loop, name=name or f"task {self.number}", context=context)

    def __hash__(self) -> int:
        return self.number


@contextmanager
def _unheard() -> Generator[None]:
    """What falls apart in here does so without a word: nobody can wait for it any more."""
    before, level = sys.unraisablehook, logging.root.manager.disable
    sys.unraisablehook = lambda _: None
    logging.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.unraisablehook = before
        logging.disable(level)
