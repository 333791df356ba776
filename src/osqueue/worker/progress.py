"""How far jobs are: told by handlers in any thread, sent along with heartbeats."""

from __future__ import annotations

import asyncio

from osqueue.client.models import Progress
from osqueue.config import PROGRESS_NOTE_CHARS_MAX
from osqueue.wire.messages import AMOUNT_MAX

__all__ = ["ProgressBoard", "progress_of"]


def progress_of(done: float, total: float | None, note: str) -> Progress:
    """What can be sent: a broker would refuse a whole heartbeat for less.

    Raises `ValueError` for what is no amount; a long note is cut.
    """
    for number in (done, total):
        if number is not None and not 0 <= number <= AMOUNT_MAX:
            raise ValueError(f"progress is counted from 0 to {AMOUNT_MAX:g}, not {number}")
    clean = note.encode(errors="backslashreplace").decode()[:PROGRESS_NOTE_CHARS_MAX]
    return Progress(done=float(done), total=None if total is None else float(total), note=clean)


class ProgressBoard:
    """The latest of each job, by lease, until it is sent."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._latest: dict[str, Progress] = {}
        self._taken: dict[str, Progress] = {}
        """What was taken last: it may have to be put back."""
        self.told = asyncio.Event()
        """Set while there is something to send."""

    def __len__(self) -> int:
        """How many jobs have something to send."""
        return len(self._latest)

    def tell(self, lease: str, progress: Progress) -> None:
        """From any thread. What a stopped worker is told goes nowhere."""
        try:
            self._loop.call_soon_threadsafe(self._put, lease, progress)
        except RuntimeError:  # the loop is closed: the worker is gone, its thread goes on
            return

    def take(self) -> dict[str, Progress]:
        """What is to be sent."""
        self.told.clear()
        self._taken, self._latest = self._latest, {}
        return self._taken

    def put_back(self) -> None:
        """What was taken last could not be sent: it is to be, where nothing later was told, and the
        job has not ended since.
        """
        self._latest = {**self._taken, **self._latest}
        self._taken = {}
        if self._latest:
            self.told.set()

    def forget(self, lease: str) -> None:
        """A job has ended."""
        self._latest.pop(lease, None)
        self._taken.pop(lease, None)

    def _put(self, lease: str, progress: Progress) -> None:
        self._latest[lease] = progress
        self.told.set()
