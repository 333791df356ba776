"""How many connections each host has open."""

from __future__ import annotations

from osqueue.server.door.rates import rate_key
from osqueue.server.telemetry.observing import Observed

__all__ = ["HostConnections"]


class HostConnections:
    """Counts them against the most that each may have; 0: any."""

    def __init__(self, most: int, observed: Observed | None = None) -> None:
        self._most = most
        self._open: dict[str, int] = {}
        self._observed = observed or Observed("http")

    def enter(self, host: str | None) -> bool:
        """Count one more; answers whether it is not too many. Each must `leave` again."""
        self._observed.connected()
        if not self._most:
            return True
        key = rate_key(host)
        self._open[key] = self._open.get(key, 0) + 1
        return self._open[key] <= self._most

    def leave(self, host: str | None) -> None:
        """Count one less."""
        self._observed.disconnected()
        if not self._most:
            return
        key = rate_key(host)
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]
