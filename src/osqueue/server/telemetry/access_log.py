"""A line of JSON for each answered request, to the logger ``osqueue.access``: on demand.

Never a payload, never a token: who asked is the name of the token.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from osqueue.clock import Clock
from osqueue.engine.observer import Answered, unheard
from osqueue.engine.requests import Landed

__all__ = ["LOGGER", "AccessLog"]

LOGGER = "osqueue.access"


class _Line(msgspec.Struct, rename="camel", omit_defaults=True):
    time: str
    transport: str
    operation: str
    outcome: str
    ms: float
    status: int = 0
    received: int = 0
    sent: int = 0
    principal: str = ""
    peer: str = ""


class AccessLog:
    """An `Observer` that writes."""

    def __init__(self, clock: Clock, write: Callable[[str], None] | None = None) -> None:
        self._clock = clock
        self._write = write or logging.getLogger(LOGGER).info
        self._encode = msgspec.json.Encoder().encode

    def answered(self, answered: Answered) -> None:
        at = datetime.fromtimestamp(self._clock.wall_ms() / 1_000, UTC)
        line = _Line(
            time=at.isoformat(timespec="milliseconds"),
            transport=answered.transport,
            operation=answered.operation,
            outcome=answered.outcome,
            ms=answered.took_us / 1_000,
            status=answered.status,
            received=answered.received,
            sent=answered.sent,
            principal=answered.principal,
            peer=answered.peer,
        )
        self._write(self._encode(line).decode())

    @unheard
    def committed(self, landed: Landed) -> None:
        """Commits are no requests."""

    @unheard
    def store_called(self, kind: str, took_us: int, error: str | None) -> None:
        """Nor are calls of the store."""

    @unheard
    def role_changed(self, role: str, epoch: int) -> None:
        """Told elsewhere."""

    @unheard
    def connected(self, transport: str) -> None:
        """Only requests are logged."""

    @unheard
    def disconnected(self, transport: str) -> None:
        """The same."""
