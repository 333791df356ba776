"""By which right a committer writes: it leads the queue, or shares it with others of its kind.

A leader has the object for itself: whoever else writes it has taken the place. Those who share it
(`osqueue.brokerless`) expect each other: a version that names no broker is as good as one of their
own, and they go on from it. They never write beside a leader: a version that names a broker ends
them, and only one that names none is built upon.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import msgspec

from osqueue.engine.fate import Base, Fate, fate_among_writers, fate_by_lineage
from osqueue.engine.refusals import leader_met_error, not_leading_error
from osqueue.errors import OsqueueError
from osqueue.model.lineage import SHARED, CommitId
from osqueue.model.ops import (
    Claim,
    FindJobs,
    GetPayloadKeys,
    GetState,
    GetStats,
    GetTypes,
    Lead,
    ListDead,
    ListEnded,
    ListJobs,
    Op,
    Share,
)
from osqueue.model.snapshot import Origin, read_origin
from osqueue.wire.leaders import called

__all__ = ["Identity", "Sharing", "Tenure", "led_by"]

_GLANCES = (
    Claim,
    GetStats,
    GetState,
    ListJobs,
    FindJobs,
    ListEnded,
    ListDead,
    GetTypes,
    GetPayloadKeys,
)
"""What is answered as of a moment ago, and names no job that the caller may know to be there."""


class Identity(msgspec.Struct, frozen=True):
    """Who leads: epoch, address for others, the instance's own id, its heartbeat interval."""

    shares: ClassVar[bool] = False
    epoch: int
    broker: str
    broker_id: str
    heartbeat_every: int

    def commit_id(self, number: int) -> str:
        """The name of a commit."""
        return f"{self.epoch}-{number}-{self.broker_id}"

    def place(self) -> Op:
        """What takes the place."""
        return Lead(self.epoch, self.broker, self.broker_id, self.heartbeat_every)

    def fate(self, origin: Origin | None, commit_id: str, _base: Base | None) -> Fate:
        """What became of a commit, by what stands in the object now."""
        return fate_by_lineage(origin, self.epoch, commit_id)

    def goes_on(self, _origin: Origin | None) -> bool:
        """Whether another writer's version is one to build upon."""
        return False

    def fenced_by(self, leader: str | None) -> str:
        """How another's leadership is told."""
        return f"another broker has taken over: {called(leader or 'unknown')}"

    def refusal(self, why: str, leader: str | None) -> OsqueueError:
        """What a request is told that was never put into a commit, once this is over."""
        return not_leading_error(why, leader)

    def looks_first(self, _op: Op) -> bool:
        """Whether a request that needs no write is answered only by what stands there now."""
        return False


class Sharing(msgspec.Struct, frozen=True):
    """One of several writers. ``writer``: unique to this start of the process.

    ``takes``: the place is to be taken first, by a commit of its own.
    """

    shares: ClassVar[bool] = True
    epoch: int
    writer: str
    takes: bool = False

    @staticmethod
    def named(token: str, *, epoch: int, takes: bool) -> Sharing:
        """A writer that has never written. ``token`` is never used again."""
        return Sharing(epoch, f"{SHARED}{token}", takes)

    def commit_id(self, number: int) -> str:
        return str(CommitId(self.epoch, number, self.writer))

    def place(self) -> Op:
        return Share(self.epoch, self.writer, self.takes)

    def fate(self, origin: Origin | None, commit_id: str, base: Base | None) -> Fate:
        commit = CommitId.parse(commit_id)
        assert commit is not None, "our own names can be read"
        if base is None:
            return Fate.UNKNOWN
        return fate_among_writers(origin, commit, base=read_origin(base.data))

    def goes_on(self, origin: Origin | None) -> bool:
        return origin is not None and origin.epoch is not None and origin.broker is None

    def fenced_by(self, leader: str | None) -> str:
        return led_by(leader)

    def refusal(self, why: str, leader: str | None) -> OsqueueError:
        return leader_met_error(why, leader)

    def looks_first(self, op: Op) -> bool:
        """A caller may have heard of a job from another writer, so what is asked about a job is
        answered by what stands there now.
        """
        return not isinstance(op, _GLANCES)

    def following(self, epoch: int | None) -> Sharing:
        """On top of a version of this epoch. Epochs never go back."""
        return Sharing(max(self.epoch, epoch or 0), self.writer)


Tenure: TypeAlias = Identity | Sharing


def led_by(leader: str | None) -> str:
    """How those who would share a queue are told that it has a leader."""
    return f"a broker leads this queue: {called(leader or 'unknown')}"
