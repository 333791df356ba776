"""What a probe has found out about a store."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from osqueue.errors import OsqueueError

__all__ = ["NOT_SHOWN", "CheckResult", "ProbeReport", "Verdict"]

CLOCK_NOISE_MS = 1_500
"""What a store's clock may seem off by: most tell whole seconds, and answers take time."""

NOT_SHOWN = "whether the store stays atomic when several write at once: no probe can show that"


class Verdict(StrEnum):
    """How a check went."""

    OK = "ok"
    FAILED = "failed"
    NOT_TRIED = "not tried"


class CheckResult(msgspec.Struct, frozen=True):
    """One thing that a store must do."""

    name: str
    verdict: Verdict


class ProbeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe found. ``error`` says what is wrong and what to do; without it, it is fit."""

    url: str
    checks: tuple[CheckResult, ...]
    dialect: str | None
    """In which of its `Dialects` the store works."""
    put_ms: int | None
    """The median of a few, as for the next one."""
    get_ms: int | None
    clock_offset_ms: int | None
    """By how much the store's clock is ahead of ours, about; ``None`` when it does not tell."""
    error: OsqueueError | None

    @property
    def fit(self) -> bool:
        """Whether nothing speaks against a queue on this store."""
        return self.error is None

    @property
    def clock(self) -> str | None:
        """The store's clock beside ours, in words."""
        if self.clock_offset_ms is None:
            return None
        if abs(self.clock_offset_ms) <= CLOCK_NOISE_MS:
            return "about as ours"
        direction = "ahead of" if self.clock_offset_ms > 0 else "behind"
        return f"about {abs(self.clock_offset_ms) / 1_000:.0f} s {direction} ours"
