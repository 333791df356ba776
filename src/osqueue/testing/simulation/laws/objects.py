"""The law of payload objects: each belongs to a job, or goes.

Whoever's commit gives one up deletes it, and what he cannot delete he tries again. All look for
what is left of lower epochs; of their own they cannot, since what nobody names may be about to be
named. So what may stay until the next leader comes is of its own epoch, and either was never named:
a write that was applied late, after it had been repeated under another key and swept; or a person
has edited the very commit that gave it up, and may have named it again; or who gave it up has died,
one of several who share an epoch, or was a person, who has removed its job; or others took away
what named it. Such may be of a higher epoch, too: that one was lost with it.
"""

from __future__ import annotations

from osqueue.config import STATE_KEY
from osqueue.engine.requests import BEFORE
from osqueue.model.job import PAYLOADS
from osqueue.testing.simulation.laws.law import expect
from osqueue.testing.simulation.laws.line import Line
from osqueue.testing.simulation.laws.past import epoch_of
from osqueue.testing.simulation.laws.served import Served
from osqueue.testing.simulation.machine.bucket import PERSON, Bucket, Written

__all__ = ["Objects"]


class Objects:
    """Which payload objects the versions of the state name."""

    def __init__(self, bucket: Bucket, line: Line, served: Served) -> None:
        self._bucket = bucket
        self._served = served
        self._line = line
        self._named: frozenset[str] = frozenset()
        self._given_up: dict[str, str] = {}
        """By whom, in which life."""
        self._last_given_up: frozenset[str] = frozenset()
        self._disputed: set[str] = set()
        """Given up by a commit that a person has edited."""

    @property
    def jobs(self) -> int:
        """How many jobs there are."""
        return len(self._line.jobs)

    def handed_out(self, since_us: int) -> int:
        """How many leases were given since then."""
        return sum(lease.since_us >= since_us for lease in self._line.leases.values())

    def written(self, written: Written) -> None:
        """There is another version."""
        keys = (job.payload_key for job in self._line.jobs.values())
        named = frozenset(key for key in keys if key is not None)
        given_up = self._named - named
        if written.by == PERSON:
            self._disputed |= self._last_given_up
        if self._line.shaken_us != written.at_us:
            self._given_up.update(dict.fromkeys(sorted(given_up), written.life))
        self._last_given_up = given_up
        self._named = named

    def deleted(self, key: str) -> None:
        """It is gone; nobody knows if it comes again, by a write that is carried out twice."""
        self._given_up.pop(key, None)

    def expect_named(self) -> None:
        """Raise `BrokenLawError` for an object that nobody names, and that has no excuse."""
        if self._bucket.keys(f"{STATE_KEY}.{BEFORE}"):
            return  # somebody may go back to that state: nothing is swept while it is kept
        assert self._line.last is not None
        for key in self._bucket.keys(PAYLOADS):
            kept = epoch_of(key) >= self._line.last.epoch
            excused = kept and (key in self._disputed or self._is_forgotten(key))
            expect(key in self._named or excused, "%s stays, and no job names it", key)

    def _is_forgotten(self, key: str) -> bool:
        """Whether nobody knows that it may go: it was never named, or who gave it up is dead."""
        life = self._given_up.get(key)
        return life is None or not self._served.lives(life)
