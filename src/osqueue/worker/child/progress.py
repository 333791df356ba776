"""How far a job is, told to the worker now and then, however often its handler says it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from osqueue.wire.messages import Progress

__all__ = ["ProgressTeller"]

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
