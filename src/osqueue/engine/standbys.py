"""The brokers that stand by for a leader, as it has seen them."""

from __future__ import annotations

from osqueue.wire.messages import Standby

__all__ = ["Standbys"]

STANDBYS_MAX = 64
"""Most that are remembered: anybody can say that they stand by."""


class Standbys:
    """Who has asked within ``forget_after_ms``."""

    def __init__(self, forget_after_ms: int) -> None:
        self._forget_after_ms = forget_after_ms
        self._seen: dict[str, tuple[str, int]] = {}

    def saw(self, broker_id: str, address: str, mono_ms: int) -> None:
        """One has asked."""
        self._seen.pop(broker_id, None)
        self._seen[broker_id] = (address, mono_ms)
        while len(self._seen) > STANDBYS_MAX:
            del self._seen[next(iter(self._seen))]

    def recent(self, mono_ms: int) -> tuple[Standby, ...]:
        """Those that are there still, as far as is known."""
        since = mono_ms - self._forget_after_ms
        return tuple(
            [
                Standby(broker_id, address, mono_ms - at)
                for broker_id, (address, at) in self._seen.items()
                if at >= since
            ]
        )
