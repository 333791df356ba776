"""One broker that stands by, and the world that it sees: an object, and what its leader answers."""

from __future__ import annotations

from msgspec.structs import replace

from osqueue.config import LeadershipSettings
from osqueue.engine.election import (
    Ask,
    Election,
    Halt,
    Load,
    Look,
    ProbeAnswer,
    Rest,
    Role,
    Step,
    Take,
)
from osqueue.engine.requests import End, EndReason
from osqueue.model.snapshot import Origin
from osqueue.storage.protocol import Version

__all__ = ["ADDRESS", "ME", "SETTINGS", "Watch", "led_by"]

ADDRESS, ME = "me:1", "me"
SETTINGS = LeadershipSettings()
STEPS_MAX = 200
"""Steps at one moment after which a machine is in a busy loop."""


def led_by(broker: str | None, broker_id: str | None = "them", epoch: int | None = 7) -> Origin:
    return Origin(broker=broker, broker_id=broker_id, epoch=epoch, heartbeat_every=3_000)


class Watch:
    """Performs what an election asks for, as the world stands, and notes it."""

    def __init__(self, origin: Origin | None = None, *, adopt: bool = False) -> None:
        self.election = Election(ADDRESS, ME, settings=replace(SETTINGS, adopt=adopt))
        self.origin = origin
        self.version = 0
        self.answers = ProbeAnswer.LEADER
        self.silent_ms = 0
        """How long a question takes."""
        self.now = 1_000
        self.reads_fail = False
        self.done: list[Step] = []
        self.rested_ms = 0

    @property
    def role(self) -> Role:
        return self.election.role

    def writes(self, origin: Origin | None = None, **fields: object) -> None:
        """Somebody writes the object."""
        base = origin or self.origin
        assert base is not None
        self.origin = replace(base, **fields)
        self.version += 1

    def vanishes(self) -> None:
        self.origin = None

    def step(self) -> Step:
        """Perform one step."""
        step = self.election.step(self.now)
        self.done.append(step)
        self._perform(step)
        return step

    def until(self, kind: type[Step], *, ms_max: int = 10**7) -> int:
        """Perform steps up to the first of a kind; how long that took."""
        began, steps = self.now, 0
        while not isinstance(self.step(), kind):
            steps += 1
            assert self.now - began <= ms_max, f"no {kind.__name__} within {ms_max} ms"
            assert steps < STEPS_MAX * (1 + (self.now - began) // 50), "a busy loop"
        return self.now - began

    def runs(self, ms: int, *, beats_every: int = 0) -> list[Step]:
        """Let time pass in which nothing is taken; what was done meanwhile."""
        until, before, beat_at = self.now + ms, len(self.done), self.now + beats_every
        while self.now < until:
            if beats_every and self.now >= beat_at:
                self.writes()
                beat_at += beats_every
            step = self.step()
            assert not isinstance(step, Take | Halt), f"{step} after {self.now - until + ms} ms"
        return self.done[before:]

    def count(self, kind: type[Step]) -> int:
        return sum(isinstance(step, kind) for step in self.done)

    # What becomes of a candidate

    def leads(self) -> None:
        """Take the place, and win it."""
        self.until(Take)
        self.election.won()
        self.writes(led_by(ADDRESS, ME, 8))

    def ends(self, reason: EndReason, leader: str | None = None) -> None:
        """The term comes to an end."""
        self.election.over(End(reason, str(reason), leader), self.now)

    def _perform(self, step: Step) -> None:
        began = self.now
        match step:
            case Rest(ms):
                self.now += ms
                self.rested_ms += ms
            case Ask():
                self.now += min(max(self.silent_ms, step.wait_ms), step.most_ms)
                self.election.heard(self.answers, began)
            case Load() | Look() if self.reads_fail:
                self.election.unread()
            case Load() | Look() if self.origin is None:
                self.election.missing(began)
            case Look():
                self.election.looked(Version(str(self.version)), began)
            case Load(unless) if unless == str(self.version):
                self.election.unchanged(began)
            case Load():
                assert self.origin is not None
                self.election.loaded(Version(str(self.version)), self.origin, began)
            case Take() | Halt():
                pass
