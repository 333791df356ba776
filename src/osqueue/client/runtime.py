"""What a client and its workers take from the world around them, so that a test can hand it in."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
from msgspec import field

from osqueue.clock import Clock, Entropy, SystemClock, SystemEntropy

__all__ = ["Place", "Runtime"]


class Place(NamedTuple):
    """Where a program runs: what a worker is known by, to people."""

    host: str
    pid: int


def _here() -> Place:
    return Place(socket.gethostname(), os.getpid())


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """Time, randomness, and the way to let time pass (``sleep`` takes seconds)."""

    clock: Clock = field(default_factory=SystemClock)
    entropy: Entropy = field(default_factory=SystemEntropy)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    place: Callable[[], Place] = _here
