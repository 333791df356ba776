"""The demo's processes: one broker and some workers, started again when they die.

Each sees the end of its stdin when the demo dies, however it dies, and stops then.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import quote

from osqueue.cli.demo.place import Place
from osqueue.cli.demo.worker import DATA_VARIABLE
from osqueue.cli.failures import CliError
from osqueue.cli.signals import KEEP_RUNNING
from osqueue.clock import SystemClock

__all__ = ["LEASE_TIMEOUT_MS", "Crew"]

HOST: Final = "127.0.0.1"

LEASE_TIMEOUT_MS: Final = 5_000
"""Jobs of a killed worker are given to another after this: short, as somebody watches."""

LISTENING: Final = "Broker listening on "
LOOK_S: Final = 0.1
STOP_S_MAX: Final = 10
EARLY_MS: Final = 2_000
EARLY_DEATHS_MAX: Final = 3
"""A process that dies this often, each time at once, will not live."""

_FOREIGN: Final = ("BROKER_", "GROUP_", "JOB_", "OSQUEUE_", "STORAGE_")
"""Variables of the user's own brokers and workers, which are not meant for these."""


class Crew:
    """The processes, and how to talk about them. ``lock`` is handed on to each."""

    def __init__(
        self, place: Place, *, lock: int, port: int, workers: int, note: Callable[[str], None]
    ) -> None:
        self.port = port or _free_port()
        self._note = note
        self.broker = _Member("the broker", _broker_command(place, self.port), place, lock)
        command = ["worker", "osqueue.cli.demo.worker:worker", "--broker-url", self.url]
        self.workers = [
            _Member(f"worker {number}", command, place, lock) for number in range(1, workers + 1)
        ]

    @property
    def url(self) -> str:
        """The broker's."""
        return f"http://{HOST}:{self.port}"

    async def start(self) -> None:
        """Start the broker, and the workers when it listens; needs `watch` to see it fail.

        Asking the port would not do: somebody else's broker could answer there.
        """
        self.broker.start()
        while LISTENING not in self.broker.words():  # noqa: ASYNC110 - another process writes them
            await asyncio.sleep(LOOK_S / 5)
        for worker in self.workers:
            worker.start()

    async def watch(self) -> NoReturn:
        """Start again who dies. Raises `CliError` when that does not help."""
        while True:
            for member in (self.broker, *self.workers):
                end = member.end()
                if end is not None:
                    member.start_again()
                    self._note(f"{member.name} {end}; started again as {member.pid}")
            await asyncio.sleep(LOOK_S)

    async def stop(self, *, keep_broker: bool = False) -> None:
        """Stop the workers, then the broker, which a last report may still have to reach."""
        await _stop(self.workers)
        if keep_broker and self.broker.end() is None:
            self.broker.let_go()
        else:
            await _stop([self.broker])


class _Member:
    """One process, over its lives."""

    def __init__(self, name: str, command: Sequence[str], place: Place, lock: int) -> None:
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

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was started"
        return self._process.pid

    def start(self) -> None:
        """Start it, in a session of its own: Ctrl-C is for the demo alone."""
        self._close_stdin()
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

    def words(self) -> str:
        """What it said since it was started."""
        return self._log.read_bytes()[self._words_at :].decode(errors="replace")

    def terminate(self) -> None:
        """Ask it to stop."""
        if self.end() is None and self._process is not None:
            self._process.terminate()

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

    def _last_words(self) -> str:
        lines = [line for line in self.words().splitlines() if line.strip()]
        return lines[-1].removeprefix("error: ") if lines else "it said nothing"

    def _close_stdin(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()


async def _stop(members: Sequence[_Member]) -> None:
    for member in members:
        member.terminate()
    clock = SystemClock()
    until_ms = clock.mono_ms() + STOP_S_MAX * 1_000
    while any(member.end() is None for member in members):
        if clock.mono_ms() >= until_ms:
            break
        await asyncio.sleep(LOOK_S / 5)
    for member in members:
        member.kill()


def _broker_command(place: Place, port: int) -> list[str]:
    storage = f"file://{quote(os.fsencode(place.queue))}"
    timeout = ["--job-heartbeat-timeout-ms", str(LEASE_TIMEOUT_MS)]
    return ["broker", "--storage", storage, "--host", HOST, "--port", str(port), *timeout]


def _environment(place: Place) -> dict[str, str]:
    """Ours, without what would change the processes, and good in another directory."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    if own.get("PYTHONPATH"):
        parts = own["PYTHONPATH"].split(os.pathsep)
        own["PYTHONPATH"] = os.pathsep.join(str(Path(part).absolute()) for part in parts)
    return {**own, DATA_VARIABLE: str(place.root)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
