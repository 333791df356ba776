"""How long a failed job waits, as a program says it: in seconds."""

from __future__ import annotations

import msgspec

from osqueue.config import TIME_MS_MAX, RetryPolicy
from osqueue.errors import ConfigError

__all__ = ["Backoff"]


class Backoff(msgspec.Struct, frozen=True):
    """The pause after a failed attempt: ``base`` seconds, times ``factor`` after each further one,
    at most ``max``. Up to the share ``jitter`` of it is left out, by chance, so that jobs that
    failed together do not come back together.

        Backoff(base=5, factor=3, max=600)  # 5 s, 15 s, 45 s, … 10 minutes
    """

    base: float = 1.0
    factor: float = 2.0
    max: float = 3_600.0
    jitter: float = 0.25

    def __post_init__(self) -> None:
        bounds = (
            (self.base, 0, TIME_MS_MAX / 1_000),
            (self.factor, 1, 1_000),
            (self.max, 0, TIME_MS_MAX / 1_000),
            (self.jitter, 0, 1),
        )
        for value, least, most in bounds:
            if type(value) not in (int, float) or not least <= value <= most:
                raise ConfigError(
                    "a Backoff has base and max in seconds from 0 on, a factor from 1 to 1,000 and "
                    f"a jitter from 0 to 1: not {self}"
                )

    def policy(self) -> RetryPolicy:
        """The same as it travels with a job."""
        return RetryPolicy(
            base_ms=round(self.base * 1_000),
            factor=float(self.factor),
            max_ms=round(self.max * 1_000),
            jitter=float(self.jitter),
        )
