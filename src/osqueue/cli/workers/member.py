"""One of several worker processes, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Final, Self

import msgspec
import psutil

from osqueue.cli.workers.control import (
    ANSWERED,
    HURRY,
    PULSE,
    READY,
    STOP,
    UNLOADABLE,
    packed,
)
from osqueue.cli.workers.plan import WorkerPlan

__all__ = ["Member", "how_it_ended"]

_WORDS_MAX: Final = 4_096


class Member:
    """A started process. It is in a session of its own: Ctrl-C is for its supervisor alone."""

    def __init__(
        self, process: asyncio.subprocess.Process, control: socket.socket, *, number: int
    ) -> None:
        self.number = number
        self.ready = asyncio.Event()
        """Set when it works, and when it has ended."""
        self.works = False
        self.unloadable = False
        self.silent_ticks = 0
        """How often `tick` was called since it last said something."""
        self.broker_answers = False
        self.stopping = False
        self._process = process
        self._control = control
        asyncio.get_running_loop().add_reader(control, self._readable)
        self._end = asyncio.create_task(self._see_end(), name=f"osqueue-member-{process.pid}")

    @classmethod
    async def start(cls, plan: WorkerPlan, *, number: int) -> Self:
        """Start one. Raises `OSError`."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                ours.sendall(packed(msgspec.structs.replace(plan, supervised=False)))
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "osqueue", "worker", plan.target),
                    *("--member", str(theirs.fileno())),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        return cls(process, ours, number=number)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return not self._end.done()

    def __str__(self) -> str:
        return f"worker process {self.number} ({self.pid})"

    def memory_bytes(self) -> int:
        """What it takes now, without the processes of its handlers."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def tick(self) -> None:
        """A second has passed in which it could have said something."""
        self.silent_ticks += 1

    def stop(self) -> None:
        """Have it finish its jobs and end."""
        self.stopping = True
        self._say(STOP)

    def hurry(self) -> None:
        """Have it give its jobs back and end."""
        self.stopping = True
        self._say(HURRY)

    def kill(self) -> None:
        """End it at once. Processes of its handlers see that it is gone."""
        if self.is_running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def ended(self) -> int:
        """Its exit code, when it has ended."""
        return await asyncio.shield(self._end)

    async def _see_end(self) -> int:
        code = await self._process.wait()
        self._readable()
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        self.works = False
        self.ready.set()
        return code

    def _say(self, word: bytes) -> None:
        with suppress(OSError):
            self._control.send(word)

    def _readable(self) -> None:
        try:
            words = self._control.recv(_WORDS_MAX)
        except BlockingIOError:
            return
        except OSError:
            words = b""
        if not words:
            asyncio.get_running_loop().remove_reader(self._control)
            return
        self.silent_ticks = 0
        self.unloadable |= UNLOADABLE in words
        if READY in words:
            self.works = True
            self.ready.set()
        if words[-1:] in {ANSWERED, PULSE}:
            self.broker_answers = words.endswith(ANSWERED)


def how_it_ended(code: int) -> str:
    """An exit code, for people."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}"
