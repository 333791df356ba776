"""What a handler in a process knows of its job, and can say of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from osqueue.config import PROGRESS_NOTE_CHARS_MAX
from osqueue.process.frames import ProcessContext
from osqueue.wire.messages import Progress

__all__ = ["JobInProcess", "ProgressTeller"]

TELL_S: Final = 0.2
"""Between two reports of one job's progress: what comes sooner replaces the one that waits."""


class ProgressTeller:
    """Tells the newest progress now and then, however often a handler reports it.

    A handler's last report before a long silence is told, too: that takes a thread, which is there
    from the first report to the end of the job.
    """

    def __init__(self, tell: Callable[[Progress], None]) -> None:
        self._tell = tell
        self._newest: Progress | None = None
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def report(self, progress: Progress) -> None:
        """Have it told how far the job is."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            self._newest = progress
            self._changed.notify()

    def end(self) -> None:
        """The job has ended: nothing of it is told any more."""
        self._ended.set()
        with self._changed:
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest is not None or self._ended.is_set())
                newest, self._newest = self._newest, None
            if newest is None or self._ended.is_set():
                return
            self._tell(newest)
            self._ended.wait(TELL_S)


class JobInProcess:
    """The second argument of a handler, as it has it in a worker; but no ``job``, no lease."""

    def __init__(
        self, told: ProcessContext, cancelled: threading.Event, teller: ProgressTeller
    ) -> None:
        self.job_id = told.job_id
        self.type = told.type
        self.attempt = told.attempt
        self.max_attempts = told.max_attempts
        self.created_at = told.created_at
        self.priority = told.priority
        self.deadline = (
            None
            if told.deadline_ms is None
            else datetime.fromtimestamp(told.deadline_ms / 1_000, UTC)
        )
        self.cancelled = cancelled
        about = {"job_id": told.job_id, "job_type": told.type, "attempt": told.attempt}
        self.log = logging.LoggerAdapter(logging.getLogger("osqueue.job"), about)
        self._teller = teller

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Tell how far the job is: ``done`` of ``total``, and a line for people.

        Raises `ValueError` for what is no amount.
        """
        told = {"done": done, "total": total, "note": note[:PROGRESS_NOTE_CHARS_MAX]}
        self._teller.report(msgspec.convert(told, Progress))
