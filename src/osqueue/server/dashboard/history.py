"""What has happened in the last hour, in steps of five seconds and constant memory.

It is fed by durable commits alone, each once, whether or not anybody looks. Its time goes on with
the monotonic clock, so that no step is told twice; when the wall clock is set, all of it moves.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any, NamedTuple

from osqueue.clock import Clock
from osqueue.config import HISTORY_STEP_MS, HISTORY_STEPS
from osqueue.engine.requests import Landed
from osqueue.server.dashboard.quantiles import Spread
from osqueue.wire.overview import OverviewHistory

__all__ = ["History"]


class _Step(NamedTuple):
    """One that is over, as it is told."""

    submitted: int
    completed: int
    failed: int
    dead: int
    wait_p50: int | None
    wait_p99: int | None
    commits: int
    changes: int
    put_p50: float | None
    put_p99: float | None
    depth: int | None


class _Current:
    """The step that goes on."""

    __slots__ = ("changes", "commits", "completed", "dead", "failed", "puts", "submitted", "waits")

    def __init__(self) -> None:
        self.submitted = self.completed = self.failed = self.dead = 0
        self.commits = self.changes = 0
        self.waits = Spread()
        self.puts = Spread()

    def told(self, depth: int | None) -> _Step:
        """As it stands."""
        return _Step(
            self.submitted,
            self.completed,
            self.failed,
            self.dead,
            self.waits.quantile(0.5),
            self.waits.quantile(0.99),
            self.commits,
            self.changes,
            _ms(self.puts.quantile(0.5)),
            _ms(self.puts.quantile(0.99)),
            depth,
        )


class History:
    """The steps, numbered from the epoch on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = self._offset_now()
        """From the monotonic time to the history's own, in ms since the epoch."""
        self._number = self._number_now()
        self._over: deque[_Step] = deque(maxlen=HISTORY_STEPS - 1)
        self._current = _Current()
        self._depth: int | None = None
        self.shifts = 0
        """How often all of it has moved in time: what was told before means nothing any more."""
        self.touched = 0
        """Grows with everything that happens."""

    # As it is fed

    def committed(self, landed: Landed) -> None:
        """A commit is durable."""
        self.roll()
        current, tally = self._current, landed.tally
        current.submitted += tally.submitted
        current.completed += tally.completed
        current.failed += tally.failed
        current.dead += tally.dead
        current.commits += 1
        current.changes += landed.changes
        current.waits.add(tally.waited_ms)
        self._depth = tally.waiting
        self.touched += 1

    def put(self, took_us: int) -> None:
        """The store has written the queue."""
        self.roll()
        self._current.puts.add((took_us,))
        self.touched += 1

    def leads_no_more(self) -> None:
        """How many jobs wait is not known from now on."""
        self.roll()
        self._depth = None
        self.touched += 1

    def roll(self) -> None:
        """Go on to the step of this moment."""
        passed = self._number_now() - self._number
        if passed > 0:
            self._go_on(passed)

    def keep_time(self) -> None:
        """Move with the wall clock, if that has been set."""
        self.roll()
        if abs(self._offset_now() - self._offset) >= HISTORY_STEP_MS:
            self._offset = self._offset_now()
            self._number = self._number_now()
            self.shifts += 1
            self.touched += 1

    # As it is told

    @property
    def number(self) -> int:
        """Of the step that goes on."""
        return self._number

    @property
    def first(self) -> int:
        """Number of the oldest step that is kept."""
        return self._number - len(self._over)

    @property
    def left_ms(self) -> int:
        """How long the step goes on still."""
        return max(0, (self._number + 1) * HISTORY_STEP_MS - self._clock.mono_ms() - self._offset)

    def since(self, number: int) -> OverviewHistory:
        """That step and all after it, as far as they are kept."""
        first = max(number, self.first)
        steps = [*islice(self._over, first - self.first, None), self._current.told(self._depth)]
        rows = zip(_Step._fields, zip(*steps, strict=True), strict=True)
        columns: dict[str, Any] = {name: list(each) for name, each in rows}
        return OverviewHistory(
            step_ms=HISTORY_STEP_MS,
            steps_max=HISTORY_STEPS,
            from_=first * HISTORY_STEP_MS,
            **columns,
        )

    def _go_on(self, passed: int) -> None:
        self._over.append(self._current.told(self._depth))
        nothing = _Current().told(self._depth)
        self._over.extend([nothing] * min(passed - 1, HISTORY_STEPS))
        self._number += passed
        self._current = _Current()
        self.touched += 1

    def _number_now(self) -> int:
        return (self._clock.mono_ms() + self._offset) // HISTORY_STEP_MS

    def _offset_now(self) -> int:
        return self._clock.wall_ms() - self._clock.mono_ms()


def _ms(us: int | None) -> float | None:
    return None if us is None else round(us / 1_000, 2)
