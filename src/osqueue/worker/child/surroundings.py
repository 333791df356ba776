"""What a process of handlers does about the system around it, once, before its first job."""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import io
import logging
import os
import pickle
import resource
import signal
import sys
from types import FrameType
from typing import Final

import msgspec

from osqueue.worker.child.frames import Begin

__all__ = ["LoggingPlan", "end_group", "hold_to", "prepare", "settle"]

_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class LoggingPlan(msgspec.Struct, frozen=True):
    """How the worker logs: levels by logger (``""`` is the root), and the format of its lines."""

    levels: dict[str, int]
    formatter: logging.Formatter | None


def settle(life: int) -> None:
    """Make the process end with its worker, be told to stop by nobody else, and be heard.

    ``life`` is a pipe that the worker holds open, and nobody writes to.

    Ctrl-C reaches a whole terminal, and a supervisor may signal all processes of a service: when a
    job is to be cut short, the worker decides.
    """
    _end_with(life)
    for number in _STOP_SIGNALS:
        signal.signal(number, _stay)
    os.register_at_fork(after_in_child=_be_told_to_stop)
    with contextlib.suppress(OSError, ValueError, RuntimeError, AttributeError):
        faulthandler.enable()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)


def prepare(begin: Begin) -> None:
    """Be what the worker says."""
    sys.path[:] = begin.path
    sys.argv[:] = begin.argv
    if begin.memory_bytes_max is not None:
        hold_to(begin.memory_bytes_max)
    if begin.logging:
        _log_like(begin.logging)


def hold_to(memory_bytes_max: int) -> None:
    """Let this process have so much memory of its own, and no more: then `MemoryError`.

    On Linux that counts what it writes to, not files that it maps nor what threads only reserve.
    """
    kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    _, hard = resource.getrlimit(kind)
    least = memory_bytes_max if hard == resource.RLIM_INFINITY else min(memory_bytes_max, hard)
    resource.setrlimit(kind, (least, hard))


def end_group() -> None:
    """End this process, and whatever its handlers have started, at once."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _end_with(life: int) -> None:
    """Have the system kill this process, and whatever its handlers have started, when the other
    end of a pipe is closed. That they are busy in native code, or are other programs, is no help.
    """
    os.set_inheritable(life, False)
    if sys.platform == "linux":
        fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)


def _stay(_number: int, _frame: FrameType | None) -> None:
    """A function, not `SIG_IGN`: that would hold for every program that a handler runs."""


def _be_told_to_stop() -> None:
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _log_like(pickled: bytes) -> None:
    """Log to stderr with the worker's levels and format."""
    try:
        plan: LoggingPlan = pickle.loads(pickled)  # noqa: S301 - from the worker, who started us
    except Exception as error:  # noqa: BLE001 - a format of the program's own may be anything
        sys.stderr.write(f"logging is not as in the worker: {type(error).__name__}: {error}\n")
        return
    handler = logging.StreamHandler()
    handler.setFormatter(plan.formatter)
    logging.basicConfig(handlers=[handler], force=True)
    for name, level in plan.levels.items():
        logging.getLogger(name or None).setLevel(level)
