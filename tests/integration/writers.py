"""Writer processes, and what they say was acknowledged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.integration.servers.process import wait_until

__all__ = ["Writer", "Writing", "writer"]

ROOT = Path(__file__).resolve().parents[2]

TURNS_ENDLESS = 1_000_000
"""More than any test has time for."""

READY_S_MAX = 60

END_S_MAX = 150
"""More than a writer takes to give up on one token."""


class Writing:
    """What one process does: how many of its tasks count, and how many create."""

    def __init__(self, *, counters: int, creators: int = 0, turns: int = TURNS_ENDLESS) -> None:
        self.arguments = [str(number) for number in (counters, creators, turns)]


class Writer:
    """A process that runs. What it printed is in a file, so that nothing ever holds it up."""

    def __init__(self, process: subprocess.Popen[bytes], printed: Path) -> None:
        self._process = process
        self._printed = printed

    def acknowledged(self) -> list[str]:
        """The tokens so far, in the order in which they came through."""
        text = self._printed.read_text()
        return text[: text.rfind("\n") + 1].splitlines()[1:]

    def wait_until_ready(self) -> None:
        wait_until(lambda: self._said_ready() or self._ended(), timeout_s=READY_S_MAX)

    def begin(self) -> None:
        """Let it write. Call `wait_until_ready` before."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def wait_for_more(self, number: int, *, timeout_s: float) -> None:
        """Until it has got so many tokens through from now on."""
        enough = len(self.acknowledged()) + number
        wait_until(lambda: len(self.acknowledged()) >= enough or self._ended(), timeout_s=timeout_s)
        assert not self._ended(), "the writer gave up"

    def stop(self) -> None:
        """End it after what is under way."""
        self._process.terminate()
        self.finish()

    def finish(self) -> None:
        """Wait for its end, which must be a good one."""
        assert self._process.wait(END_S_MAX) == 0, "the writer failed: its stderr tells why"

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _said_ready(self) -> bool:
        return bool(self._printed.read_text())

    def _ended(self) -> bool:
        return self._process.poll() is not None


@contextmanager
def writer(urls: Sequence[str], writing: Writing, *, printed: Path) -> Iterator[Writer]:
    """A process that waits for `Writer.begin` inside; its name is that of the file."""
    program = [sys.executable, "-m", "tests.integration.writer_process"]
    command = [*program, printed.name, *writing.arguments, *urls]
    with printed.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=file)
    started = Writer(process, printed)
    try:
        yield started
    finally:
        started.close()
