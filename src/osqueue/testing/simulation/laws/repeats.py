"""The law of what is said twice: it gets the answer that it got the first time, for as long as
brokers remember, and others leave the object to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from osqueue.config import QueueLimits
from osqueue.errors import JobNotFoundError, LeaseLostError
from osqueue.testing.simulation.laws.law import expect
from osqueue.testing.simulation.machine.exchange import Exchange
from osqueue.wire import operations as ops

__all__ = ["Repeated"]

REMEMBERED_US: Final = int(QueueLimits().dedupe_window_ms * 1_000 * 0.9)
"""For how long an end is remembered, at least: a broker's clock may go faster than the world's."""

_ENDS: Final = frozenset({ops.COMPLETE.name, ops.FAIL.name, ops.RELEASE.name})


class Repeated:
    """What was said with a lease, and done; and the law of saying it again."""

    def __init__(self, lost: Callable[[int], bool]) -> None:
        """``lost``: whether others have taken from the object what was done at a time."""
        self._lost = lost
        self._done_us: dict[tuple[str, str], int] = {}
        """When it was first said, by the operation and the lease."""

    def answered(self, exchange: Exchange) -> None:
        """Raise `BrokenLawError` when what was done is not known any more, too early."""
        name, said = exchange.operation.name, exchange.request
        lease = getattr(said, "lease", None)
        if name not in _ENDS or lease is None:
            return
        key = (name, lease)
        if exchange.error is None:
            self._done_us.setdefault(key, exchange.sent_us)
            return
        done_us, told_us = self._done_us.get(key), exchange.ended_us or 0
        refused = isinstance(exchange.error, LeaseLostError | JobNotFoundError)
        early = done_us is not None and told_us - done_us < REMEMBERED_US
        kept = done_us is not None and not self._lost(done_us)
        expect(not (refused and early and kept), "%s of lease %s was done, and is refused", *key)
