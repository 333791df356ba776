"""How far something is: a bar on a terminal, elsewhere a line now and then. On stderr."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from rich import progress as rich_progress
from rich.console import Console
from rich.text import Text

from osqueue.clock import SystemClock

__all__ = ["Progress"]

LINE_EVERY_MS: Final = 3_000
"""Between two lines where there is no terminal."""

RATE_WINDOW_S: Final = 5
"""The bar's rate is that of the last seconds."""

SLOW: Final = 10
"""A lower rate is shown with a decimal."""


class Progress:
    """Shows how many of ``total`` things are done; ``of`` names them. A context manager."""

    def __init__(self, what: str, total: int | None, *, done: int = 0, of: str = "jobs") -> None:
        self._console = Console(stderr=True, highlight=False)
        self._what = what
        self._of = of
        self._total = total
        self._clock = SystemClock()
        self._bar = _bar(self._console, of, counted=total is not None)
        self._task = self._bar.add_task(what, total=total, completed=done)
        self._first = (self._clock.mono_ms(), done)
        self._line_at_ms = self._first[0] + LINE_EVERY_MS

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def show(self, done: int) -> None:
        """So many are done."""
        self._bar.update(self._task, completed=done)
        now_ms = self._clock.mono_ms()
        if not self._console.is_terminal and now_ms >= self._line_at_ms:
            self._line_at_ms = now_ms + LINE_EVERY_MS
            self.note(self._line(done, now_ms))

    def show_stage(self, what: str) -> None:
        """Something else is being done now."""
        self._what = what
        self._bar.update(self._task, description=what)

    def note(self, text: str) -> None:
        """Say something, above the bar."""
        self._console.print(Text(text), soft_wrap=True)

    def _line(self, done: int, now_ms: int) -> str:
        began_ms, before = self._first
        rate = (done - before) * 1_000 / max(now_ms - began_ms, 1)
        of_total = "" if self._total is None else f" of {self._total:,}"
        return f"{self._what}: {done:,}{of_total} ({_per_second(rate, self._of)})"


def _per_second(rate: float, of: str) -> str:
    return f"{rate:,.{0 if rate >= SLOW else 1}f} {of}/s"


class _Rate(rich_progress.ProgressColumn):
    def __init__(self, of: str) -> None:
        super().__init__()
        self._of = of

    def render(self, task: rich_progress.Task) -> Text:
        return Text("" if task.speed is None else _per_second(task.speed, self._of))


def _bar(console: Console, of: str, *, counted: bool) -> rich_progress.Progress:
    amount = "{task.completed:,} of {task.total:,}" if counted else "{task.completed:,}"
    return rich_progress.Progress(
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(bar_width=30),
        rich_progress.TextColumn(amount),
        _Rate(of),
        rich_progress.TimeElapsedColumn(),
        console=console,
        speed_estimate_period=RATE_WINDOW_S,
        transient=True,
    )
