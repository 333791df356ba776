"""The law of silence: nobody loses a lease that he knows of but by his own word, or by silence.

Silent he has to be for the whole time-out, since he was last heard, and since the leader took over:
of the time in which the leader served. Without a leader, that is for one to say who has seen for
the whole time-out that the lease stands as it did, and did not hear any better himself; others may
know of heartbeats that need not be written yet.
"""

from __future__ import annotations

from typing import Final

from osqueue.config import QueueLimits
from osqueue.testing.simulation.laws.law import expect
from osqueue.testing.simulation.laws.requests import Requests
from osqueue.testing.simulation.laws.served import Served
from osqueue.testing.simulation.laws.sights import Sights
from osqueue.testing.simulation.laws.views import LeaseLife, View
from osqueue.testing.simulation.machine.bucket import Written

__all__ = ["Silence"]

PUNCTUAL: Final = 0.95
"""Of a lease's time-out: a leader's clock may go faster than the world's."""

SLACK_MS: Final = 2_000
"""A commit, or a leader's own step, may take a second each before the time counts as not served: so
a lease that was granted in one that took as long has as much less from when it was durable."""

RENEWED_PER_LEASE: Final = 3
"""How often in the time of a lease those who share a queue write the heartbeats that they get."""


class Silence:
    """Who was heard when, and by whom."""

    def __init__(self, limits: QueueLimits, requests: Requests, served: Served) -> None:
        self._limits = limits
        self._requests = requests
        self._served = served
        self._sights = Sights()
        self._since_us = 0
        """Since when the one who writes now does so."""
        self._leader = ""
        self._shared = False
        """Whether he is one of several who share the queue."""

    def begins(self, writer: str, at_us: int) -> None:
        """Somebody has taken the queue over."""
        self._since_us, self._leader = at_us, writer

    def written(self, written: Written, *, shared: bool) -> None:
        """Somebody has written a version, and so has seen it."""
        self._shared = shared
        self._sights.saw(written.life, written.at_us)

    def seen(self, life: str, at_us: int) -> None:
        """The object was read in a life of a process."""
        self._sights.saw(life, at_us)

    def expect_reason(self, lease: str, life: LeaseLife, before: View, written: Written) -> None:
        """A lease stands no more; ``before`` is its job as it held it. Raises `BrokenLawError`."""
        given_up = self._requests.surrenders[lease] > 0
        if given_up or not life.told or self._orphaned(lease, life, before, written.at_us):
            return
        foreign = False
        if self._shared:
            self._expect_watched(lease, life, written)
            foreign = self._requests.kept_by.get(lease) != written.by
        self._expect_silent(lease, life, written.at_us, foreign=foreign)

    def _orphaned(self, lease: str, life: LeaseLife, before: View, at_us: int) -> bool:
        """Whether its worker has said for a while that he holds others, and not this one."""
        said_us, held = self._requests.listed.get(before.worker_id or "", (0, frozenset[str]()))
        stood_ms = (at_us - life.since_us) / 1_000
        long = stood_ms >= self._limits.orphan_after_ms * PUNCTUAL
        return long and said_us > life.since_us and lease not in held

    def _expect_watched(self, lease: str, life: LeaseLife, written: Written) -> None:
        seen_us = self._sights.first_us(written.life, max(life.beat_us, self._since_us))
        watched_ms = 0.0 if seen_us is None else (written.at_us - seen_us) / 1_000
        expect(
            watched_ms >= self._limits.lease_timeout_ms * PUNCTUAL - SLACK_MS,
            "lease %s was taken away by %s, who had watched it for %.0f ms",
            lease,
            written.life,
            watched_ms,
        )

    def _expect_silent(self, lease: str, life: LeaseLife, at_us: int, *, foreign: bool) -> None:
        """``foreign``: the heartbeats that it had were given to another process."""
        kept_us = max(life.since_us, self._requests.kept_us.get(lease, 0), self._since_us)
        unserved_us = 0 if self._shared else self._served.lost_us(self._leader, kept_us, at_us)
        silent_ms = (at_us - kept_us - unserved_us) / 1_000
        least_ms = self._limits.lease_timeout_ms
        least_ms -= least_ms // RENEWED_PER_LEASE if foreign else 0
        expect(
            silent_ms >= least_ms * PUNCTUAL - SLACK_MS,
            "lease %s was taken away after %.0f ms of silence, and %.0f ms that were not served",
            lease,
            silent_ms,
            unserved_us / 1_000,
        )
