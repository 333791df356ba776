"""A server that runs as a process of its own, on this machine only, and ends with the tests."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from osqueue.clock import SystemClock, SystemEntropy

__all__ = ["HOST", "Process", "answers_http", "free_port", "running", "wait_until"]

HOST = "127.0.0.1"

PORTS = range(20_000, 32_000)
"""Below those that a system hands out to connections: nobody else takes one by chance."""

STOP_S_MAX = 10
"""How long a server may take to end by itself before it is killed."""

POLL_S = 0.05

LOG_TAIL = 2_000
"""Characters of a log that an error shows."""


class Process:
    """One server process. It can be killed and started again with the same command."""

    def __init__(self, command: Sequence[str], *, log: Path, cwd: Path | None = None) -> None:
        self._command = [*_dying_with_us(), *command]
        self._log = log
        self._cwd = cwd
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """In a session of its own, so that a ^C at the terminal reaches the tests alone.

        Only from the main thread: the kernel ends the server with the thread that started it.
        """
        assert threading.current_thread() is threading.main_thread()
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def send(self, number: signal.Signals) -> None:
        if self._child is not None:
            self._child.send_signal(number)

    def wait(self) -> None:
        """Until it has ended, which is helped along when it takes too long."""
        if self._child is None:
            return
        try:
            self._child.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self._child.wait()

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        self.send(signal.SIGTERM)
        self.wait()

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Raise `TimeoutError`, with the end of the log, when it ends or takes too long."""

        def ready_or_dead() -> bool:
            return not self.running or ready()

        try:
            wait_until(ready_or_dead, timeout_s=timeout_s)
        except TimeoutError as error:
            raise self._failure("does not answer") from error
        if not self.running:
            raise self._failure("ended at once")

    def _failure(self, what: str) -> TimeoutError:
        log = self._log.read_text(errors="replace")[-LOG_TAIL:]
        return TimeoutError(f"{' '.join(self._command)} {what}; the end of its log:\n{log}")


@contextmanager
def running(
    command: Sequence[str], *, port: int, place: Path, timeout_s: float = 30
) -> Iterator[Process]:
    """A process inside, from when it answers HTTP on ``port`` on; its files are in ``place``."""
    process = Process(command, log=place / "server.log", cwd=place)
    process.start()
    try:
        process.wait_until(lambda: answers_http(port), timeout_s=timeout_s)
        yield process
    finally:
        process.stop()


def wait_until(ready: Callable[[], bool], *, timeout_s: float) -> None:
    """Ask again and again. Raises `TimeoutError`."""
    clock = SystemClock()
    deadline = clock.mono_ms() + timeout_s * 1_000
    while not ready():
        if clock.mono_ms() > deadline:
            raise TimeoutError(f"not ready within {timeout_s} s")
        time.sleep(POLL_S)


def answers_http(port: int) -> bool:
    """Whether something answers there, whatever it says."""
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True


def free_port() -> int:
    """A port that nothing listens on."""
    entropy = SystemEntropy()
    while True:
        port = PORTS[int(entropy.jitter() * len(PORTS))]
        with socket.socket() as tried:
            try:
                tried.bind((HOST, port))
            except OSError:
                continue
        return port


def _dying_with_us() -> list[str]:
    """On Linux a server is killed with the tests, even if those could not say good-bye."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
