"""What one loop has been handed, and what becomes of it when the loop is left.

It outlives its loop: a loop that is merely dropped says nothing of why, so for a moment it is open
whether an exception has ended who ran it.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Generic, TypeAlias, TypeVar

from osqueue.embedded.hold import Hold, Stage
from osqueue.embedded.job import QueueJob
from osqueue.embedded.reports import Reports

__all__ = ["Handout", "Holder", "holder_now"]

T = TypeVar("T")

Holder: TypeAlias = "asyncio.Task[Any] | int"
"""Who runs a loop: a task, or a thread by its id."""


def holder_now() -> Holder:
    """Who runs here."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs here
        task = None
    return threading.get_ident() if task is None else task


class Handout(Generic[T]):
    """The jobs of a loop that works on ``most`` at a time."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.changed = asyncio.Event()
        """Set when a hold is over, or nobody is inside of it any more."""
        self.ready: list[QueueJob[T]] = []
        """Claimed, and not handed to the loop yet."""
        self.holds: list[Hold] = []
        """Handed to the loop."""
        self.holder: Holder | None = None

    @property
    def free(self) -> int:
        """How many more may be claimed."""
        return self.most - len(self.holds) - len(self.ready)

    def clear_up(self, reports: Reports) -> None:
        """Forget what is over, and give back what could not be reported."""
        reports.give_back([hold for hold in self.holds if hold.stage is Stage.LEFT])
        self.holds = [hold for hold in self.holds if hold.stage in {Stage.OPEN, Stage.REPORTING}]

    def next(self) -> QueueJob[T]:
        """Hand over the next that is ready."""
        job = self.ready.pop(0)
        self.holds.append(job.hold)
        return job

    def leave(self) -> None:
        """The loop was dropped. The job that it was at can be used no more, unless somebody is
        inside of ``with job`` already.
        """
        if self.most == 1:
            for hold in self.holds:
                if not hold.entered:
                    hold.leave()

    def give_back(self, reports: Reports, error: BaseException | None) -> None:
        """Report what is left, in the background. A job at a time has failed by an exception.

        Of several, each is the affair of whoever it was handed on to.
        """
        failed = error if isinstance(error, Exception) else None
        if self.most == 1:
            reports.give_back([hold for hold in self.holds if not hold.entered], failed)
        reports.give_back([job.hold for job in self.ready])
        self.holds, self.ready = [], []

    def error_of(self, holder: Holder, error: BaseException | None) -> BaseException | None:
        """What has ended whoever ran the loop, when ``holder`` is left by ``error``."""
        mine = self.holder
        if isinstance(mine, asyncio.Task) and mine.done():
            return None if mine.cancelled() else mine.exception()
        return error if mine == holder else None
