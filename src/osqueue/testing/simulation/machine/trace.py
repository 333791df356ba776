"""What happened in a run, line by line, for people; and its fingerprint, for the next run."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from osqueue.testing.simulation.machine.loop import SimulatedLoop

__all__ = ["Trace", "heard"]


class _Line(NamedTuple):
    at_us: int
    who: str
    what: str
    said: tuple[object, ...]


class Trace:
    """Notes of a run. A note is put into words only when somebody reads it."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self._lines: list[_Line] = []

    def note(self, who: str, what: str, *said: object) -> None:
        """``what`` may hold ``%s`` for what is ``said``, which must not change any more."""
        self._lines.append(_Line(self._loop.now_us, who, what, said))

    def lines(self) -> Iterator[str]:
        """All notes, with the time in seconds."""
        for line in self._lines:
            text = line.what % line.said if line.said else line.what
            yield f"{line.at_us / 1_000_000:11.6f}  {line.who:<12} {text}"

    def fingerprint(self) -> str:
        """The same for two runs in which the same things happened at the same time."""
        digest = hashlib.sha256()
        for line in self.lines():
            digest.update(line.encode())
            digest.update(b"\n")
        return digest.hexdigest()


@contextmanager
def heard(trace: Trace, loop: SimulatedLoop) -> Generator[None]:
    """Have what the system logs noted as it is said, and nobody else hear it."""
    logger = logging.getLogger("osqueue")
    before = logger.handlers, logger.propagate, logger.level
    logger.handlers, logger.propagate = [_Ear(trace, loop)], False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before[:2]
        logger.setLevel(before[2])


class _Ear(logging.Handler):
    def __init__(self, trace: Trace, loop: SimulatedLoop) -> None:
        super().__init__()
        self._trace = trace
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        text = record.getMessage() + (f" ({error!r})" if error is not None else "")
        self._trace.note(self._loop.life.name, "%s: %s", record.levelname.lower(), text)
