"""Whether anybody is at the other end of a WebSocket: pure, looked at once a second.

Laws: silence is judged only while it would be heard; a client that is silent is pinged once, and is
gone when nothing comes for as long again; a message that began arrives in full in time.
"""

from __future__ import annotations

from enum import StrEnum

from osqueue.config import MIB, ServerSettings

__all__ = ["Finding", "Vigil"]


class Finding(StrEnum):
    """What is to be done about a client."""

    FINE = "fine"
    PING = "ping"
    GONE = "gone"
    OVERDUE = "overdue"


class Vigil:
    """Over one connection."""

    __slots__ = ("_heard", "_overdue_at", "_pinged", "_quiet_since", "_settings")

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._heard, self._pinged = True, False
        self._quiet_since = 0.0
        self._overdue_at: float | None = None

    def heard(self) -> None:
        """Something has come."""
        self._heard = True

    def arrived(self) -> None:
        """A message has come in full."""
        self._overdue_at = None

    def look(self, now_s: float, *, reading: bool, received: int) -> Finding:
        """How things stand. ``received``: bytes of a message on its way, 0 when there is none."""
        if not reading:
            self._heard, self._overdue_at = True, None
        if reading and self._is_overdue(now_s, received):
            return Finding.OVERDUE
        if self._heard:
            self._heard = self._pinged = False
            self._quiet_since = now_s
            return Finding.FINE
        return self._silent(now_s - self._quiet_since)

    def _is_overdue(self, now_s: float, received: int) -> bool:
        if not received:
            self._overdue_at = None
            return False
        if self._overdue_at is None:
            self._overdue_at = now_s + self._settings.request_s_max
        return now_s >= self._overdue_at + self._settings.request_s_max * (received // MIB)

    def _silent(self, for_s: float) -> Finding:
        limits = self._settings.ws
        if for_s >= limits.ping_s + limits.pong_s:
            return Finding.GONE
        if for_s < limits.ping_s or self._pinged:
            return Finding.FINE
        self._pinged = True
        return Finding.PING
