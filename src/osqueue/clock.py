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


class SystemEntropy:
    """The randomness of the operating system."""

    def job_id(self) -> str:
        milliseconds = (time.time_ns() // 1_000_000) & 0xFFFF_FFFF_FFFF
        noise = int.from_bytes(os.urandom(10))
        value = (
            (milliseconds << 80)
            | (7 << 76)
            | ((noise >> 68 & 0xFFF) << 64)
            | (2 << 62)
            | (noise & 0x3FFF_FFFF_FFFF_FFFF)
        )
        digits = f"{value:032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def token(self) -> str:
        return os.urandom(12).hex()

    def jitter(self) -> float:
        return random.random()  # noqa: S311 - spreads retries, protects nothing
