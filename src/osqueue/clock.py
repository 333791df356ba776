"""The only file that reads time or draws randomness.

Everything else takes a `Clock` and an `Entropy`, so that a test or a simulation can hand in its
own. Times are integers of milliseconds.
"""

from __future__ import annotations

import os
import random  # noqa: TID251 - the one place that may
import time
from types import MappingProxyType
from typing import Final, Protocol

__all__ = [
    "Clock",
    "Entropy",
    "SeededEntropy",
    "SystemClock",
    "SystemEntropy",
    "precise_us",
]


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

    def job_ids(self, number: int) -> list[str]:
        """As many of them, made at once: that takes a third of the time."""
        ...

    def token(self) -> str:
        """An opaque, URL-safe token of 96 random bits."""
        ...

    def secret(self) -> str:
        """256 random bits as hexadecimal digits: what opens a door."""
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


_VARIANTS: Final = MappingProxyType(dict(zip("0123456789abcdef", "89ab" * 4, strict=True)))
"""What a random digit makes of the one that says which kind of UUID it is."""


class SystemEntropy:
    """The randomness of the operating system."""

    def job_id(self) -> str:
        return self.job_ids(1)[0]

    def job_ids(self, number: int) -> list[str]:
        stamp = f"{time.time_ns() // 1_000_000:012x}"
        head, variants = f"{stamp[:8]}-{stamp[8:]}-7", _VARIANTS
        noise = os.urandom(10 * number).hex()
        return [
            f"{head}{noise[at : at + 3]}-{variants[noise[at + 3]]}{noise[at + 4 : at + 7]}"
            f"-{noise[at + 7 : at + 19]}"
            for at in range(0, 20 * number, 20)
        ]

    def token(self) -> str:
        return os.urandom(12).hex()

    def secret(self) -> str:
        return os.urandom(32).hex()

    def jitter(self) -> float:
        return random.random()  # noqa: S311 - spreads retries, protects nothing


class SeededEntropy:
    """The same ids and numbers for the same seed: for tests and simulations, never for a queue.

    Its ids say no time; they are sorted by the order in which they were drawn.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - to be repeatable is its purpose
        self._ids = 0

    def job_id(self) -> str:
        self._ids += 1
        noise = self.token()
        stamp = f"{self._ids:012x}"
        return f"{stamp[:8]}-{stamp[8:]}-7{noise[:3]}-8{noise[3:6]}-{noise[6:18]}"

    def job_ids(self, number: int) -> list[str]:
        return [self.job_id() for _ in range(number)]

    def token(self) -> str:
        return self._random.randbytes(12).hex()

    def secret(self) -> str:
        return self._random.randbytes(32).hex()

    def jitter(self) -> float:
        return self._random.random()


def precise_us() -> int:
    """Microseconds since some fixed moment: for measuring how long something takes."""
    return time.monotonic_ns() // 1_000
