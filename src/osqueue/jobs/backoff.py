"""How long a failed job waits, as a program says it: in seconds."""

from __future__ import annotations

import msgspec

from osqueue.config import RetryPolicy
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
        self.policy()

    def policy(self) -> RetryPolicy:
        """The same as it travels with a job. Raises `ConfigError` for what makes no sense."""
        try:
            return msgspec.convert(
                {
                    "baseMs": round(self.base * 1_000),
                    "factor": self.factor,
                    "maxMs": round(self.max * 1_000),
                    "jitter": self.jitter,
                },
                RetryPolicy,
            )
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError(f"{self} makes no sense: {error}") from error
