"""One job that this process holds, and what becomes of it.

A hold is open until it is reported, lost, or left behind by the loop that it was handed to; only an
open one can be reported. A report that could not be made leaves it open.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from enum import Enum
from typing import Final

from osqueue.client.models import Job
from osqueue.errors import LeaseLostError

__all__ = ["Hold", "Stage"]

logger = logging.getLogger("osqueue.embedded")


class Stage(Enum):
    """Where a hold stands."""

    OPEN = "held"
    REPORTING = "being reported"
    LEFT = "left by its loop, and being given back"
    COMPLETED = "completed"
    FAILED = "failed"
    RELEASED = "given back"
    LOST = "lost: its lease has run out, or it was cancelled"


_OVER: Final = frozenset({Stage.COMPLETED, Stage.FAILED, Stage.RELEASED, Stage.LOST})


class Hold:
    """A job, by its lease. ``task`` is the one that is inside of ``async with job``, if any.

    ``changed`` is set when nobody is inside of it any more, and when it is over.
    """

    def __init__(self, job: Job, changed: asyncio.Event | None = None) -> None:
        self.job = job
        self.stage = Stage.OPEN
        self._changed = changed
        self.cancelled = threading.Event()
        """Set when work on it is to end."""
        self.entered = False
        """Whether somebody is inside of ``with job``, and will report it."""
        self.task: asyncio.Task[object] | None = None
        self.watch: object = None
        """What tells that nobody has the job any more."""
        self.interruption: Exception | None = None
        """Why work on it was told to end."""

    @property
    def is_open(self) -> bool:
        """Whether it can be reported."""
        return self.stage is Stage.OPEN

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be done with it."""
        return self.stage in _OVER

    def expect_open(self) -> None:
        """Raise `LeaseLostError` unless it can be reported."""
        if not self.is_open:
            raise LeaseLostError(f"job {self.job.job_id} is not held any more: {self.stage.value}")

    def enter(self, task: asyncio.Task[object] | None) -> None:
        """Somebody works on it, and will report it."""
        self.expect_open()
        self.entered, self.task = True, task

    def exit(self) -> None:
        """Nobody is inside any more."""
        self.entered, self.task = False, None
        self._tell()

    def leave(self) -> None:
        """The loop that it was handed to goes on without it."""
        if self.is_open:
            self.stage = Stage.LEFT

    def end(self, stage: Stage) -> None:
        """It is over."""
        self.stage = stage
        self._tell()

    def lose(self) -> None:
        """The lease is gone. Whoever works on the job is told."""
        if self.is_over:
            return
        error = LeaseLostError(f"the lease of job {self.job.job_id} is lost: stop working on it")
        logger.warning("%s", error)
        self.end(Stage.LOST)
        self.cancelled.set()
        self.interrupt(error)

    def interrupt(self, why: Exception) -> None:
        """Cancel the task inside, which is told why when it leaves; one that says so itself goes on
        until then.
        """
        if self.interruption is None:
            self.interruption = why
            if self.task is not None and self.task is not asyncio.current_task():
                self.task.cancel()

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed.set()
