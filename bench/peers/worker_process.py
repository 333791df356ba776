"""The one worker process of a system, with the children that it may have."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import Self

__all__ = ["WorkerProcess"]

STOP_S_MAX = 5
"""How long it may take to end by itself; then it is killed, with its children."""


class WorkerProcess:
    """Runs inside of each ``with``; what it logs goes to our stderr."""

    def __init__(self, system: str, setting: str, store: str) -> None:
        self._command = [*_dying_with_us(), sys.executable, "-m", "peers.work"]
        self._command += [system, setting, store]
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        child = self._child
        if child is None:
            return
        child.terminate()
        try:
            child.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        self._child = None

    def check(self) -> None:
        """Raise `ChildProcessError` when it has ended by itself."""
        status = None if self._child is None else self._child.poll()
        if status is not None:
            raise ChildProcessError(f"the worker ended with status {status}")


def _dying_with_us() -> list[str]:
    """On Linux it is killed with the benchmark, even if that could not say good-bye."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
