"""When a broker may try to take a queue: a pure machine, fed with what was seen.

Taking is always a compare-and-swap on the state object, and only that makes it safe. The rules
here merely spare a live leader: take at once when nobody leads, when the leader's address is our
own or refuses connections, or when another instance answers there; otherwise only after the
object stood still, by our own clock, for longer than a leader would ever let it.
"""

from __future__ import annotations

from enum import StrEnum

from osqueue.model.snapshot import Origin
from osqueue.storage.protocol import Version

__all__ = ["Candidate", "Decision", "ProbeAnswer"]


class ProbeAnswer(StrEnum):
    """What the leader's address answered."""

    REFUSED = "refused"
    OTHER = "another instance"
    LEADER = "the leader"
    SILENT = "silent"


class Decision(StrEnum):
    """What to do about the queue."""

    TAKE = "take"
    WATCH = "watch"
    YIELD = "yield"


class Candidate:
    """A broker that would lead. Feed `see` with every look at the object."""

    def __init__(self, address: str, *, timeout_ms: int) -> None:
        self._address = address
        self._timeout_ms = timeout_ms
        self._seen: tuple[Version, str | None] | None = None
        self._since = 0

    def see(
        self, version: Version, origin: Origin, *, probe: ProbeAnswer, mono_ms: int
    ) -> Decision:
        """Decide from the object as it stands and what its leader's address answered."""
        before, self._seen = self._seen, (version, origin.broker_id or origin.broker)
        if before is None or before[0] != version:
            self._since = mono_ms
        if origin.broker is None or origin.broker == self._address:
            return Decision.TAKE
        if probe in {ProbeAnswer.REFUSED, ProbeAnswer.OTHER}:
            return Decision.TAKE
        moved = before is not None and before[0] != version and before[1] == self._seen[1]
        if moved or probe is ProbeAnswer.LEADER:
            return Decision.YIELD
        stood_ms = max(self._timeout_ms, 2 * (origin.heartbeat_every or 0))
        return Decision.TAKE if mono_ms - self._since >= stood_ms else Decision.WATCH
