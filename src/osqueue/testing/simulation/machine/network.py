"""The simulated network: messages between processes, and what becomes of them.

A message takes its time, may be lost, or come twice. Two parties can be cut off from each other, in
both directions or in one. What is drawn for a message is drawn when it is sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec

from osqueue.testing.simulation.machine.dice import Dice
from osqueue.testing.simulation.machine.loop import Life, SimulatedLoop

__all__ = ["Network", "Weather"]

LATENCY_S = 0.000_3
"""About what a message takes within a data centre."""

SLOW_S = 0.5
"""About what it takes while the network is slow."""


class Weather(msgspec.Struct):
    """How the network is. Shares are of all messages."""

    lost: float = 0.0
    doubled: float = 0.0
    slow: float = 0.0


class Network:
    """Carries messages between places, which are known by name."""

    def __init__(self, loop: SimulatedLoop, dice: Dice) -> None:
        self._loop = loop
        self._dice = dice
        self.weather = Weather()
        self._cut: Counter[tuple[str, str]] = Counter()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._deaf: Counter[str] = Counter()
        self.happened: Counter[str] = Counter()
        """How often each fault befell a message."""

    def cut(self, source: str, target: str) -> None:
        """Let nothing pass from one to the other, until `mend`; cuts add up."""
        self._cut[source, target] += 1

    def mend(self, source: str, target: str) -> None:
        """Undo one cut."""
        self._cut[source, target] -= 1

    def refuse(self, source: str, target: str) -> None:
        """Have connections from one to the other refused, until `accept`."""
        self._refused[source, target] += 1

    def accept(self, source: str, target: str) -> None:
        """Undo that once."""
        self._refused[source, target] -= 1

    def refuses(self, source: str, target: str) -> bool:
        """Whether who listens there cannot be reached, and that is said at once."""
        return self._refused[source, target] > 0

    def deafen(self, target: str) -> None:
        """Let nothing reach one, until `hear`: its machine stands still, and keeps nothing."""
        self._deaf[target] += 1

    def hear(self, target: str) -> None:
        """Undo that once."""
        self._deaf[target] -= 1

    def passes(self, source: str, target: str) -> bool:
        """Whether anything gets from one to the other."""
        return not (self._cut[source, target] or self._deaf[target])

    def send(
        self,
        source: str,
        target: str,
        deliver: Callable[[], None],
        *,
        life: Life | None = None,
        once: bool = False,
    ) -> int:
        """Have ``deliver`` called when the message is there, as a step of a life, or of nobody's.

        ``once``: it cannot come twice, as an answer on a connection cannot. Answers how often it
        will come.
        """
        if not self.passes(source, target):
            self.happened["message cut off"] += 1
            return 0
        if self._dice.chance(self.weather.lost):
            self.happened["message lost"] += 1
            return 0
        self._carry(deliver, life)
        if once or not self._dice.chance(self.weather.doubled):
            return 1
        self.happened["message doubled"] += 1
        self._carry(deliver, life)
        return 2

    def _carry(self, deliver: Callable[[], None], life: Life | None) -> None:
        slow = self._dice.chance(self.weather.slow)
        self.happened["message slow"] += slow
        after_s = self._dice.about(SLOW_S if slow else LATENCY_S)
        if life is None:
            self._loop.outside(deliver, after_s=after_s)
        else:
            self._loop.within(life, deliver, after_s=after_s)
