"""What a supervisor and its processes tell each other, on a socket pair: a plan, then single bytes.

When the supervisor dies, however it dies, its processes see the end of the socket, and stop.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from osqueue.cli.signals import StopRequest
from osqueue.cli.workers.plan import WorkerPlan

__all__ = [
    "ANSWERED",
    "HURRY",
    "PULSE",
    "READY",
    "STOP",
    "UNLOADABLE",
    "Control",
    "packed",
]

READY: Final = b"r"
"""The target is loaded, and the worker runs."""
UNLOADABLE: Final = b"u"
"""There can be no worker: trying again would bring the same."""
PULSE: Final = b"p"
"""The loop turns, but no broker answers."""
ANSWERED: Final = b"a"
"""The loop turns, and a broker answers."""

STOP: Final = b"s"
HURRY: Final = b"h"

_LENGTH_BYTES: Final = 4
_WORDS_MAX: Final = 64


def packed(plan: WorkerPlan) -> bytes:
    """The plan as it is sent: pickled, as both ends are the same program."""
    content = pickle.dumps(plan)
    return len(content).to_bytes(_LENGTH_BYTES, "big") + content


class Control:
    """A process's end of it."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        self._socket = socket.socket(fileno=fd)

    def plan(self) -> WorkerPlan:
        """What this process is to be. To be asked once, before anything else."""
        length = int.from_bytes(self._socket.recv(_LENGTH_BYTES, socket.MSG_WAITALL), "big")
        content = self._socket.recv(length, socket.MSG_WAITALL)
        self._socket.setblocking(False)
        plan: WorkerPlan = pickle.loads(content)  # noqa: S301 - from who started us
        return plan

    def say(self, word: bytes) -> None:
        """Tell the supervisor. It may be gone, or not reading, and then does not care."""
        with suppress(OSError):
            self._socket.send(word)

    @contextmanager
    def heeded(self, stop: StopRequest) -> Iterator[None]:
        """Stop when told to. Inside a running loop."""
        loop = asyncio.get_running_loop()

        def heed() -> None:
            words = self._words()
            stop.request(hurry=HURRY in words)
            if not words:
                loop.remove_reader(self._socket)

        loop.add_reader(self._socket, heed)
        try:
            yield
        finally:
            loop.remove_reader(self._socket)

    def _words(self) -> bytes:
        try:
            return self._socket.recv(_WORDS_MAX)
        except OSError:
            return b""
