"""One attempt at a job, while its handler runs."""

from __future__ import annotations

import asyncio
from datetime import datetime
from enum import Enum, auto

from osqueue.client.models import Job
from osqueue.worker.job_context import JobContext

__all__ = ["Attempt", "Interruption"]


class Interruption(Enum):
    """Why a handler was told to end."""

    OVERDUE = auto()
    """Its time is up."""
    LOST = auto()
    """The broker no longer knows the lease, or somebody has cancelled the job."""
    WITHDRAWN = auto()
    """The worker stops."""


class Attempt:
    """What is known of a running handler. Used on the loop only."""

    __slots__ = (
        "began",
        "context",
        "deadline",
        "in_thread",
        "interruption",
        "job",
        "task",
        "timeout_s",
        "timer",
        "was_in_thread",
    )

    def __init__(self, job: Job) -> None:
        self.job = job
        self.task: asyncio.Task[None] | None = None
        self.began = False
        """Whether its task has come to run: one that has not would end without a trace."""
        self.in_thread = False
        """Whether it waits for a thread, which can only be told."""
        self.was_in_thread = False
        self.context: JobContext | None = None
        """Made if somebody wants it."""
        self.interruption: Interruption | None = None
        self.timeout_s: float | None = None
        self.deadline: datetime | None = None
        self.timer: asyncio.TimerHandle | None = None

    def is_in_vain(self) -> bool:
        """Whether it was told to end: nobody asks any more what comes of it."""
        return self.interruption is not None

    def interrupt(self, why: Interruption) -> None:
        """Tell the handler to end, unless it was told before."""
        if self.interruption is not None:
            return
        self.interruption = why
        if self.context is not None:
            self.context.cancelled.set()
        if self.began and not self.in_thread and self.task is not None:
            self.task.cancel()

    def left_thread(self) -> None:
        """What follows can be cancelled: it is, if the handler was told to end in its thread."""
        if self.interruption is not None and self.task is not None:
            self.task.cancel()

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
