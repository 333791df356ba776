"""What a handler may know of its job, and say about it, beside the payload."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, MutableMapping
from datetime import datetime
from functools import cached_property
from typing import Any, TypeAlias

from osqueue.client.models import Job, Progress
from osqueue.worker.progress import progress_of

__all__ = ["JobContext", "JobLogger"]


class JobLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs under ``osqueue.job``, each line with its job: in the text, and as fields of its own."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        extra: Mapping[str, object] = self.extra or {}
        kwargs["extra"] = {**extra, **(kwargs.get("extra") or {})}
        return f"job {extra['job_id']}: {msg}", kwargs


Tell: TypeAlias = Callable[[Progress], None]


class JobContext:
    """A handler's job. It may be used from the handler's own thread.

    ``cancelled`` is set when the handler should end: its time is up, its lease is lost (as after
    somebody has cancelled the job), or the worker stops. An async handler is cancelled as well.
    ``deadline`` is when its time will be up; ``None``: it may take as long as it likes.
    """

    def __init__(self, job: Job, *, deadline: datetime | None, tell: Tell) -> None:
        self.job = job
        """The job as it was claimed."""
        self.deadline = deadline
        self.cancelled = threading.Event()
        self._tell = tell

    def __repr__(self) -> str:
        return f"<JobContext {self.type} {self.job_id}, attempt {self.attempt}>"

    @property
    def job_id(self) -> str:
        return self.job.job_id

    @property
    def type(self) -> str:
        return self.job.type

    @property
    def attempt(self) -> int:
        """Counts from 1."""
        return self.job.attempt

    @property
    def max_attempts(self) -> int:
        return self.job.max_attempts

    @property
    def created_at(self) -> int:
        """Ms since the epoch."""
        return self.job.created_at

    @property
    def priority(self) -> int:
        return self.job.priority

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far it is. Observers see the latest, once a second at the most.

        Raises `ValueError` for what is no number; a long note is cut.
        """
        self._tell(progress_of(done, total, note))

    @cached_property
    def log(self) -> JobLogger:
        """A logger whose lines name the job."""
        bound = {"job_id": self.job_id, "job_type": self.type, "attempt": self.attempt}
        return JobLogger(logging.getLogger("osqueue.job"), bound)
