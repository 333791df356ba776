"""The only file that reads time or draws randomness.

Everything else takes a `Clock` and an `Entropy`, so that a test or a simulation can hand in its
own. Times are integers of milliseconds.
"""

from __future__ import annotations

import os
import random  # noqa: TID251 - the one place that may
import time
from typing import Protocol

__all__ = ["Clock", "Entropy", "SystemClock", "SystemEntropy"]


class Clock(Protocol):
    """Two readings of time."""

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch; may step in both directions."""
        ...

    def mono_ms(self) -> int:
        """Milliseconds since some fixed moment; never goes back."""
        ...

    def cpu_us(self) -> int:
        """Microseconds of processor time that this thread has used."""
        ...


class Entropy(Protocol):
    """Fresh ids and jitter."""

    def job_id(self) -> str:
        """A UUIDv7: unique, and sorted by the time of its making."""
        ...

    def token(self) -> str:
        """An opaque, URL-safe token of 96 random bits."""
        ...

    def jitter(self) -> float:
        """A number in [0, 1), evenly spread."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def mono_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def cpu_us(self) -> int:
        return time.thread_time_ns() // 1_000


class SystemEntropy:
    """The randomness of the operating system."""

    def job_id(self) -> str:
        stamp = f"{time.time_ns() // 1_000_000:012x}"
        noise = os.urandom(10).hex()
        variant = "89ab"[int(noise[3], 16) & 3]
        return f"{stamp[:8]}-{stamp[8:]}-7{noise[:3]}-{variant}{noise[4:7]}-{noise[7:19]}"

    def token(self) -> str:
        return os.urandom(12).hex()

    def jitter(self) -> float:
        return random.random()  # noqa: S311 - spreads retries, protects nothing
