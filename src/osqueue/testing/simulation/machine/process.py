"""A process of the simulated world: a broker's, a worker's, a producer's.

It has clocks of its own, that drift and step, and randomness of its own. It can be paused for any
time, killed between any two steps, and started again; then it remembers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from osqueue.clock import Clock, SeededEntropy
from osqueue.testing.simulation.machine.dice import Dice
from osqueue.testing.simulation.machine.loop import Life, SimulatedLoop

__all__ = ["EPOCH_MS", "ProcessClock", "SimulatedProcess"]

EPOCH_MS = 1_900_000_000_000
"""The wall time at which every world begins."""

DRIFT_MAX = 0.02
"""How much faster or slower than the world's a process's clocks may run; real ones stay well below
a thousandth, so what is measured on two of them differs more here than it ever will."""

APART_MS_MAX = 120_000
"""How far a wall clock may be off when its process starts."""

CPU_US = 200
"""What any work costs by the clock of processor time, so that commits are paced."""


class ProcessClock(Clock):
    """The clocks of a process."""

    def __init__(self, loop: SimulatedLoop, life: Life, ahead_ms: int) -> None:
        self._loop = loop
        self._life = life
        self.ahead_ms = ahead_ms
        """How far the wall clock is off."""
        self._cpu_us = 0

    def wall_ms(self) -> int:
        run_ms = (self._life.own_us(self._loop.now_us) - self._life.offset_us) // 1_000
        return EPOCH_MS + self.ahead_ms + run_ms

    def mono_ms(self) -> int:
        return self.ticks_us() // 1_000

    def ticks_us(self) -> int:
        return self._life.own_us(self._loop.now_us)

    def cpu_us(self) -> int:
        self._cpu_us += CPU_US
        return self._cpu_us


class SimulatedProcess:
    """Something that runs, is known by its name, and comes back after a crash.

    ``main`` is called at every start; the process is over when it is killed, not when that returns.
    """

    def __init__(
        self,
        loop: SimulatedLoop,
        dice: Dice,
        name: str,
        main: Callable[[SimulatedProcess], Coroutine[Any, Any, object]],
    ) -> None:
        self.loop = loop
        self.name = name
        self._dice = dice
        self._main = main
        self._lives = 0
        self._ahead_ms = dice.whole(-APART_MS_MAX, APART_MS_MAX)
        self._rate = 1 + dice.between(-DRIFT_MAX, DRIFT_MAX)
        self.life = self._fresh_life()
        self.life.alive = False
        self.clock = ProcessClock(loop, self.life, self._ahead_ms)
        self.entropy = SeededEntropy(0)
        self._pauses: list[tuple[int, int]] = []
        self._paused_us: int | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs, or would if it were not paused."""
        return self.life.alive

    @property
    def paused(self) -> bool:
        return self.life.held

    @property
    def life_name(self) -> str:
        """What this life of it is called, and no other."""
        return f"{self.name} {self._lives}"

    def start(self) -> None:
        """Begin, or begin again, with nothing from before but the clocks' faults."""
        assert not self.life.alive, f"{self.name} runs"
        self._end_pause()
        self._lives += 1
        self.life = self._fresh_life()
        self.clock = ProcessClock(self.loop, self.life, self._ahead_ms)
        self.entropy = self._dice.fork(f"life {self._lives}").entropy
        self.loop.begin(self.life, lambda: self._main(self))

    def kill(self) -> None:
        """Take no further step."""
        self.loop.kill(self.life)

    def kill_after(self, steps: int, died: Callable[[], None]) -> None:
        """The same, but so many steps later, whatever it is at by then."""
        self.life.steps_left, self.life.died = steps, died

    def spare(self) -> None:
        """Take that back, if it has not happened yet."""
        self.life.steps_left = None

    def pause(self) -> None:
        """Stand still: nothing is done, while the clocks go on."""
        self._paused_us = self.loop.now_us
        self.loop.hold(self.life)

    def resume(self) -> None:
        """Go on after a pause."""
        self._end_pause()
        self.loop.let_go(self.life)

    def pauses(self, now_us: int) -> list[tuple[int, int]]:
        """From when to when it stood still, or stands."""
        under_way = [] if self._paused_us is None else [(self._paused_us, now_us)]
        return self._pauses + under_way

    def _end_pause(self) -> None:
        if self._paused_us is not None:
            self._pauses.append((self._paused_us, self.loop.now_us))
            self._paused_us = None

    def step_clock(self, by_ms: int) -> None:
        """Put the wall clock forward, or back."""
        self._ahead_ms += by_ms
        self.clock.ahead_ms = self._ahead_ms

    def set_clock(self) -> None:
        """Put the wall clock right."""
        drifted_ms = int(self.loop.now_us * (self._rate - 1)) // 1_000
        self.step_clock(-self._ahead_ms - drifted_ms)

    def _fresh_life(self) -> Life:
        """Monotonic clocks begin anywhere, and not at the same reading after a crash."""
        begin_us = self._dice.whole(0, 1 << 40) - int(self.loop.now_us * self._rate)
        return Life(self.name, offset_us=begin_us, rate=self._rate)
