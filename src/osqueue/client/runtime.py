"""What a client and its workers take from the world around them, so that a test can hand it in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import field

from osqueue.clock import Clock, Entropy, SystemClock, SystemEntropy

__all__ = ["Runtime"]


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """Time, randomness, and the way to let time pass (``sleep`` takes seconds)."""

    clock: Clock = field(default_factory=SystemClock)
    entropy: Entropy = field(default_factory=SystemEntropy)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
