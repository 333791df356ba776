"""Who ran: a file that the processes of a benchmark share, with a place for each job.

A handler marks its job there, which costs it less than a microsecond whatever the system, so that
each job is known to have run, how often, and when it first began. Only what Python brings is
imported: the workers of every system load this, each in the environment of its own.
"""

from __future__ import annotations

import mmap
import os
import time
from functools import cache
from pathlib import Path

__all__ = ["PATH", "Tally", "marks"]

PATH = "PEERS_TALLY"
"""The variable that tells a worker where the file is."""

CLOCK_BYTES = 8


class Tally:
    """How often each job ran, and when it first began, by the clock that all processes share."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self.jobs = len(self._map) // (CLOCK_BYTES + 1)
        self._began = memoryview(self._map)[: self.jobs * CLOCK_BYTES].cast("d")
        self._runs = memoryview(self._map)[self.jobs * CLOCK_BYTES :]

    @classmethod
    def create(cls, path: Path, jobs: int) -> Tally:
        path.write_bytes(bytes(jobs * (CLOCK_BYTES + 1)))
        return cls(path)

    def mark(self, number: int) -> None:
        """This job runs now."""
        if not self._runs[number]:
            self._began[number] = time.perf_counter()
        self._runs[number] += 1

    def began(self, number: int) -> float:
        return self._began[number]

    def missing(self, numbers: range) -> int:
        """How many of them have never run."""
        return self._of(numbers).count(0)

    def repeated(self, numbers: range) -> int:
        """How many of them ran more than once."""
        return len(numbers) - self.missing(numbers) - self._of(numbers).count(1)

    def first(self, numbers: range) -> float:
        """When the first of them began."""
        return min(self._began[number] for number in numbers)

    def _of(self, numbers: range) -> bytes:
        return bytes(self._runs[numbers.start : numbers.stop])


@cache
def marks() -> Tally:
    """The tally of the benchmark that this process works for."""
    return Tally(Path(os.environ[PATH]))
