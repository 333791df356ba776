"""One of the demo's processes, over its lives.

It sees the end of its stdin when the demo dies, however it dies, and stops then.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from osqueue.cli.demo.place import Place
from osqueue.cli.demo.worker import DATA_VARIABLE
from osqueue.cli.failures import CliError
from osqueue.cli.signals import KEEP_RUNNING
from osqueue.clock import SystemClock

__all__ = ["Member", "stop_all"]

STOP_S_MAX: Final = 10
STOP_LOOK_S: Final = 0.02
EARLY_MS: Final = 2_000
EARLY_DEATHS_MAX: Final = 3
"""A process that dies this often, each time at once, will not live."""

_LISTENING: Final = re.compile(r"^Broker listening on (\S+)$", re.MULTILINE)

_FOREIGN: Final = ("BROKER_", "GROUP_", "JOB_", "OSQUEUE_", "STORAGE_")
"""Variables of the user's own brokers and workers, which are not meant for these."""


class Member:
    """A process. ``lock`` is handed on to it."""

    def __init__(self, name: str, command: Sequence[str], *, place: Place, lock: int) -> None:
        self.name = name
        self._command = [sys.executable, "-m", "osqueue", *command, "--supervised"]
        self._log = place.logs / f"{name.removeprefix('the ').replace(' ', '-')}.log"
        self._place = place
        self._lock = lock
        self._process: subprocess.Popen[bytes] | None = None
        self._clock = SystemClock()
        self._started_ms = 0
        self._words_at = 0
        self._early_deaths = 0
        self._address: str | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def address(self) -> str | None:
        """The URL of a broker, once it listens.

        It says so itself: whoever answers at a port that was given to it may be somebody else's.
        """
        if self._address is None and self._process is not None:
            said = _LISTENING.search(self._words())
            self._address = None if said is None else f"http://{said.group(1)}"
        return self._address

    def start(self) -> None:
        """Start it, in a session of its own: Ctrl-C is for the demo alone."""
        self._close_stdin()
        self._address = None
        with self._log.open("ab") as log:
            self._words_at = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
                self._command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._place.root,
                env=_environment(self._place),
                pass_fds=(self._lock,),
                start_new_session=True,
            )
        self._started_ms = self._clock.mono_ms()

    def end(self) -> str | None:
        """How it ended, if it did."""
        code = None if self._process is None else self._process.poll()
        if code is None:
            return None
        if code < 0:
            return f"({self.pid}) was killed by {signal.Signals(-code).name}"
        return f"({self.pid}) ended with exit code {code}"

    def start_again(self) -> None:
        """Start it after its end. Raises `CliError` when it failed, or dies again and again."""
        assert self._process is not None, "it was started"
        early = self._clock.mono_ms() - self._started_ms < EARLY_MS
        self._early_deaths = self._early_deaths + 1 if early else 0
        if self._process.returncode > 0 or self._early_deaths >= EARLY_DEATHS_MAX:
            raise CliError(f"{self.name} {self.end()}: {self._last_words()}")
        self.start()

    def terminate(self) -> None:
        """Ask it to stop, and let it run if somebody has suspended it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._close_stdin()

    def let_go(self) -> None:
        """Have it go on without us."""
        assert self._process is not None, "it runs"
        assert self._process.stdin is not None, "it was started with a pipe"
        self._process.stdin.write(KEEP_RUNNING)
        self._close_stdin()

    def _words(self) -> str:
        """What it said since it was started."""
        return self._log.read_bytes()[self._words_at :].decode(errors="replace")

    def _last_words(self) -> str:
        lines = [line for line in self._words().splitlines() if line.strip()]
        return lines[-1].removeprefix("error: ") if lines else "it said nothing"

    def _close_stdin(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()


async def stop_all(members: Sequence[Member]) -> None:
    """Stop them together; kill those that do not."""
    for member in members:
        member.terminate()
    clock = SystemClock()
    until_ms = clock.mono_ms() + STOP_S_MAX * 1_000
    while any(member.is_running for member in members):
        if clock.mono_ms() >= until_ms:
            break
        await asyncio.sleep(STOP_LOOK_S)
    for member in members:
        member.kill()


def _environment(place: Place) -> dict[str, str]:
    """Ours, without what would change the processes, and good in another directory."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    if own.get("PYTHONPATH"):
        parts = own["PYTHONPATH"].split(os.pathsep)
        own["PYTHONPATH"] = os.pathsep.join(str(Path(part).absolute()) for part in parts)
    return {**own, DATA_VARIABLE: str(place.root)}
