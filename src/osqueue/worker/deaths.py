"""How a handler in a process can end other than by returning, and how that reads."""

from __future__ import annotations

import signal
from typing import Final

from osqueue.config import MIB
from osqueue.errors import WorkerExecutionError
from osqueue.wire.messages import JobError
from osqueue.worker.child.frames import EXHAUSTED_EXIT, UNHEARD_EXIT

__all__ = ["NeverBegan", "ProcessDied", "RemoteFailure", "reason_of"]

_HINTS: Final[dict[int, str]] = {
    signal.SIGKILL: ", by hand or because the system ran out of memory",
    signal.SIGSEGV: ", a fault in native code",
    signal.SIGBUS: ", a fault in native code",
    signal.SIGILL: ", a fault in native code",
    signal.SIGFPE: ", a fault in native code",
    signal.SIGABRT: ", a fault in native code or no memory for it",
    signal.SIGXCPU: ", its limit of processor time",
}


class RemoteFailure(WorkerExecutionError):  # noqa: N818 - what happened elsewhere, told here
    """What a handler raised in its process, as texts: nothing of it was unpickled.

    ``retry``: whether another attempt can help; not when there is no such handler, the payload is
    not what it takes, or its result cannot be kept.
    """

    def __init__(self, error: JobError, *, retry: bool = True) -> None:
        super().__init__(f"{error.type}: {error.message}")
        self.error = error
        self.retry = retry


class ProcessDied(WorkerExecutionError):  # noqa: N818 - the same
    """The process ended before its handler did. The message tells how."""


class NeverBegan(ProcessDied):
    """It ended before it had begun with the job: that is not the job's doing."""


def reason_of(code: int, memory_bytes_max: int | None) -> str:
    """The exit code of a process, for people."""
    if code < 0:
        return f"the process was killed by {_signal_name(-code)}{_HINTS.get(-code, '')}"
    if code == EXHAUSTED_EXIT:
        limit = "" if memory_bytes_max is None else f" ({memory_bytes_max / MIB:g} MiB)"
        return f"the process ran out of memory{limit}"
    if code == UNHEARD_EXIT:
        return "the handler broke the process's connection to its worker"
    return f"the handler ended its process with exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
