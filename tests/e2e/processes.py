"""Real `osqueue` processes, started and watched."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue

WAIT_S = 30
OWN_VARIABLES = ("BROKER_", "GROUP_", "JOB_", "OSQUEUE_", "STORAGE_")


def osqueue(
    *arguments: str,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(arguments),
        input=stdin,
        env=environment(env),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


class Running:
    """A command that runs; what it prints is read as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid
        self.out: list[str] = []
        self.err: list[str] = []
        self._lines: Queue[str | None] = Queue()
        self._open_pipes = 2
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((process.stdout, self.out), (process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The next line that matches, of stdout or stderr. Fails when none comes any more."""
        while self._open_pipes:
            try:
                line = self._lines.get(timeout=WAIT_S)
            except Empty:
                break
            if line is None:
                self._open_pipes -= 1
            elif (found := re.search(pattern, line)) is not None:
                return found
        raise AssertionError(f"no {pattern!r} in {self.out} {self.err}")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def close_stdin(self, last_words: str = "") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(last_words)
        self._process.stdin.close()

    def wait(self, timeout_s: float = WAIT_S) -> int:
        """The exit code, once all that was printed has been read."""
        code = self._process.wait(timeout_s)
        for reader in self._readers:
            reader.join(WAIT_S)
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.send(number)
        return self.wait()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def _read(self, pipe: Iterator[str], lines: list[str]) -> None:
        for line in pipe:
            lines.append(line.rstrip("\n"))
            self._lines.put(lines[-1])
        self._lines.put(None)


@contextmanager
def running(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Running]:
    """A command that runs inside, and is killed at the end if it still does."""
    process = subprocess.Popen(
        command(arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(env),
        cwd=cwd,
        text=True,
    )
    held = Running(process)
    try:
        yield held
    finally:
        held.close()


@contextmanager
def broker(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[tuple[Running, str]]:
    """A broker that listens, and its URL."""
    with running("broker", "--host", "127.0.0.1", "--port", "0", *arguments, env=env) as started:
        address = started.wait_for(r"Broker listening on (\S+)").group(1)
        yield started, f"http://{address}"


def command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "osqueue", *arguments]


def environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
    if own.get("PYTHONPATH"):
        parts = own["PYTHONPATH"].split(os.pathsep)
        own["PYTHONPATH"] = os.pathsep.join(str(Path(part).absolute()) for part in parts)
    return {**own, "COLUMNS": "80", **(extra or {})}
