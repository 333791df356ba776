"""How long everything takes in a run of the proof: in full, or scaled down to about a third.

What belongs together stays together: a lease outlives a takeover, and a cut with a worker's
heartbeat before and after it; a client's patience outlives every outage; a heartbeat interval is at
most a third of its time-out.
"""

from __future__ import annotations

import msgspec

from osqueue.config import ClientSettings, WorkerSettings

__all__ = ["FULL", "SHORT", "Timing"]


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """All durations of one run."""

    heartbeat_ms: int
    """Of the leader, and its time-out."""
    timeout_ms: int
    lease_ms: int
    worker_beat_ms: int
    answer_ms: int
    """How long an impatient client waits for one answer; a patient one outwaits a stop."""
    stop_s: float
    outage_s: float
    calm_s: float
    """The random moment of a fault lies within this, once all is well again."""
    back_s_max: float
    """Service that has not come back by then after a fault is gone for good."""
    drain_s_max: float
    linger_ms: int = 500
    """How long an ended job waits for company on its way to the archive."""

    @property
    def takeover_s(self) -> float:
        """By then a standby has replaced a leader that it can replace at all."""
        return 3 * self.timeout_ms / 1_000

    def client(self, *, patient: bool) -> ClientSettings:
        answer_ms = int(self.stop_s * 1_200) if patient else self.answer_ms
        return ClientSettings(timeout_ms=answer_ms)

    def worker(self) -> WorkerSettings:
        return WorkerSettings(heartbeat_interval_ms=self.worker_beat_ms)


FULL = Timing(
    heartbeat_ms=3_000,
    timeout_ms=10_000,
    lease_ms=30_000,
    worker_beat_ms=5_000,
    answer_ms=10_000,
    stop_s=15,
    outage_s=20,
    calm_s=3,
    back_s_max=90,
    drain_s_max=120,
)
"""The defaults of brokers, clients and workers."""

SHORT = Timing(
    heartbeat_ms=1_000,
    timeout_ms=3_300,
    lease_ms=14_000,
    worker_beat_ms=1_600,
    answer_ms=3_300,
    stop_s=7,
    outage_s=7,
    calm_s=1,
    back_s_max=60,
    drain_s_max=60,
)
