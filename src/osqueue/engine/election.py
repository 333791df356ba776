"""Who leads, as one broker sees it: a pure machine, told what was seen, telling what to do next.

Taking a queue is always a compare-and-swap on the state object, and only that makes it safe. The
rules here merely spare a live leader, and let a dead one be replaced soon. A standby takes over

- at once when leadership was given back, when the leader's address refuses connections, or when
  another instance answers there,
- otherwise when the object has stood still, by the standby's own clock, for longer than a leader
  would ever let it, and the leader has not said that it leads and can write. A leader that nobody
  can dial (`osqueue.wire.leaders`) is judged by this alone.

Whose place was taken at once, and who then takes it back, is at work at an address that does not
reach it: from then on that address tells nothing, or the two would take turns.

Two clocks are never compared.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from osqueue.config import STATUS_WAIT_MS_MAX, LeadershipSettings
from osqueue.engine.requests import End, EndReason
from osqueue.model.snapshot import Origin
from osqueue.storage.protocol import Version
from osqueue.wire.leaders import is_dialled

__all__ = [
    "TURNS",
    "Ask",
    "Election",
    "Halt",
    "Load",
    "Look",
    "ProbeAnswer",
    "Rest",
    "Role",
    "Step",
    "Take",
    "Turn",
]


class Role(StrEnum):
    """What a broker is to its queue."""

    STANDBY = "standby"
    CANDIDATE = "candidate"
    LEADER = "leader"
    STEPPING_DOWN = "stepping down"
    HALTED = "halted"
    STOPPED = "stopped"


class Turn(StrEnum):
    """What changes the role."""

    CHANCE = "nobody leads"
    WON = "the takeover is durable"
    LOST = "the place was not won, or not given back in time"
    FENCED = "another broker has taken over"
    ASKED = "asked to hand over"
    STOP = "asked to stop"
    RELEASED = "leadership was given back"
    SPOILED = "the state object was overwritten, or is gone"
    FAILED = "it cannot go on"
    ENDED = "everybody is answered"


TURNS: Final[dict[tuple[Role, Turn], Role]] = {
    (Role.STANDBY, Turn.CHANCE): Role.CANDIDATE,
    (Role.STANDBY, Turn.SPOILED): Role.HALTED,
    (Role.STANDBY, Turn.FAILED): Role.STOPPED,
    (Role.STANDBY, Turn.STOP): Role.STOPPED,
    (Role.CANDIDATE, Turn.WON): Role.LEADER,
    (Role.CANDIDATE, Turn.LOST): Role.STANDBY,
    (Role.CANDIDATE, Turn.FAILED): Role.STOPPED,
    (Role.CANDIDATE, Turn.STOP): Role.STEPPING_DOWN,
    (Role.LEADER, Turn.FENCED): Role.STANDBY,
    (Role.LEADER, Turn.SPOILED): Role.HALTED,
    (Role.LEADER, Turn.FAILED): Role.STOPPED,
    (Role.LEADER, Turn.ASKED): Role.STEPPING_DOWN,
    (Role.LEADER, Turn.STOP): Role.STEPPING_DOWN,
    (Role.STEPPING_DOWN, Turn.RELEASED): Role.STANDBY,
    (Role.STEPPING_DOWN, Turn.LOST): Role.STANDBY,
    (Role.STEPPING_DOWN, Turn.FENCED): Role.STANDBY,
    (Role.STEPPING_DOWN, Turn.SPOILED): Role.HALTED,
    (Role.STEPPING_DOWN, Turn.FAILED): Role.STOPPED,
    (Role.STEPPING_DOWN, Turn.STOP): Role.STEPPING_DOWN,
    (Role.STEPPING_DOWN, Turn.ENDED): Role.STOPPED,
    (Role.HALTED, Turn.STOP): Role.STOPPED,
}
"""The table of roles: what is not in it cannot happen."""


class ProbeAnswer(StrEnum):
    """What the leader's address answered."""

    REFUSED = "refused"
    OTHER = "another instance"
    OURSELVES = "ourselves"
    LEADER = "the leader, which can write"
    RESIGNED = "the leader of before"
    SILENT = "silent"
    UNASKED = "nobody can be asked there"


class Load(msgspec.Struct, frozen=True):
    """Read the object, unless it is at this version. Answer: `loaded`, or `unread`."""

    unless: Version | None


class Look(msgspec.Struct, frozen=True):
    """Ask for the object's version only. Answer: `looked`, or `unread`."""


class Ask(msgspec.Struct, frozen=True):
    """Ask the leader's address who is there. Answer: `heard`."""

    origin: Origin
    address: str
    """Of whoever asks."""
    broker_id: str
    wait_ms: int
    """How long the leader may keep the question, to answer as soon as it stops leading."""
    most_ms: int
    """Silence begins after this."""


class Rest(msgspec.Struct, frozen=True):
    """Do nothing for so long."""

    ms: int


class Take(msgspec.Struct, frozen=True):
    """Take the queue by compare-and-swap on the object as it was loaded. Answer: `won`, `over`."""


class Halt(msgspec.Struct, frozen=True):
    """Do nothing any more: somebody has to look."""

    why: str


Step: TypeAlias = Load | Look | Ask | Rest | Take | Halt

_TURN_OF_END: Final = {
    EndReason.FENCED: Turn.FENCED,
    EndReason.UNWRITABLE: Turn.LOST,
    EndReason.RELEASED: Turn.RELEASED,
    EndReason.OVERWRITTEN: Turn.SPOILED,
}

ASK_GRACE_MS: Final = 750
"""How much later than agreed an answer may come before it counts as silence."""

ASK_MS_MIN: Final = 50
"""Shortest time for an answer, when the patience with a silent leader is about to end."""

ASKS_PER_INTERVAL: Final = 6
"""How often a leader that answers is asked in a heartbeat interval: it costs no store request, and
what it last wrote is looked at when it falls silent, so soon enough for the time-out to begin."""

REFUSALS_COUNTED: Final = 5
"""Takeovers that the store has refused, after which the pause grows no further: each reads and
writes the whole state."""

RELEASED_LOOK_MS: Final = 100
"""How often a broker that has handed over looks who has taken the place."""

LOOKS_PER_TIMEOUT: Final = 10
"""How often the object is looked at while the time-out of a silent leader runs."""

OVERWRITTEN: Final = (
    "an older implementation ({}), which drops what it does not know, has overwritten the state "
    "object; stop it, then start a broker with --adopt to go on from there"
)


class Election:
    """One broker's view."""

    def __init__(self, address: str, broker_id: str, *, settings: LeadershipSettings) -> None:
        self._address = address
        self._broker_id = broker_id
        self._settings = settings
        self._role = Role.STANDBY
        self._stopping = False
        self._rivalled = False
        """Whether another broker that advertises our own address was seen at work."""
        self._ended_by: str | None = None
        """Who has taken the place from us."""
        self._supposed_gone: str | None = None
        """The address whose answer made us take the place."""
        self._out_of_reach: str | None = None
        """An address that answered so although its broker was at work."""
        self._origin: Origin | None = None
        self._loaded: Version | None = None
        self._version: Version | None = None
        self._since = self._looked_at = self._asked_at = self._hold_off_until = 0
        self._loaded_at = 0
        self._missing_since: int | None = None
        self._must_load = True
        self._epoch_seen = self._unread = False
        self._refusals = 0
        self._answer: ProbeAnswer | None = None
        self._must_ask, self._must_look = True, False
        self._hushed = False
        """Whether the leader has answered since its last silence was looked into."""
        self._seen_writing = False
        """Whether the leader has written since it was first seen to lead."""

    @property
    def role(self) -> Role:
        return self._role

    @property
    def adopts(self) -> bool:
        """Whether it goes on from what an older implementation has overwritten."""
        return self._settings.adopt

    @property
    def origin(self) -> Origin | None:
        """Who wrote the object, when it was last loaded."""
        return self._origin

    @property
    def leader(self) -> str | None:
        """The address of another broker that leads, as far as is known."""
        if self._must_load:  # what was loaded is from before our own term
            named = self._ended_by
        elif self._origin is None or not self._is_known:
            return None
        else:
            named = self._origin.broker
        return None if named == self._address and is_dialled(named) else named

    @property
    def moved(self) -> bool:
        """Whether the object has been written since it was loaded."""
        return self._is_stale

    def stood_ms(self, mono_ms: int) -> int:
        """How long ago the object was first seen at its version."""
        return mono_ms - self._since

    # The role

    def won(self) -> None:
        """The takeover is durable. What was loaded is past, and not kept."""
        self._turn(Turn.WON)
        self._refusals = 0
        self._loaded = None

    def hand_over(self) -> None:
        """Leadership is to be given back, to whoever stands by."""
        self._turn(Turn.ASKED)

    def stop(self) -> None:
        """The broker is to end. A second stop changes nothing."""
        self._stopping = True
        if self._role is not Role.STOPPED:
            self._turn(Turn.STOP)

    def fail(self) -> None:
        """The broker cannot go on."""
        self._turn(Turn.FAILED)

    def over(self, end: End, mono_ms: int) -> None:
        """The term, or the attempt at one, has come to its end."""
        self._rivalled = self._rivalled or end.leader == self._address
        if end.leader is not None and end.leader == self._supposed_gone:
            self._out_of_reach = end.leader
        if end.reason is EndReason.RELEASED:  # others first
            self._hold_off_until = mono_ms + self._settings.heartbeat_timeout_ms
        self._ended_by = end.leader
        self._turn(self._turn_of(end.reason))
        self._must_load = self._must_ask = True
        self._missing_since = None
        self._answer, self._unread = None, end.reason is EndReason.UNWRITABLE
        self._refusals += self._unread

    def _turn_of(self, reason: EndReason) -> Turn:
        if self._stopping:
            return Turn.ENDED
        if reason is EndReason.FENCED and self._role is Role.CANDIDATE:
            return Turn.LOST
        if reason is EndReason.STOPPED and self._role is Role.STEPPING_DOWN:
            return Turn.LOST
        return _TURN_OF_END.get(reason, Turn.FAILED)

    def _turn(self, turn: Turn) -> None:
        self._role = TURNS[self._role, turn]

    # What a standby has seen; each with the time at which the question was put

    def loaded(self, version: Version, origin: Origin, mono_ms: int) -> None:
        """The object was read."""
        before, self._origin, self._loaded = self._origin, origin, version
        self._loaded_at = mono_ms
        if origin.broker is not None:  # whoever was to come first has come
            self._hold_off_until = mono_ms
        self.looked(version, mono_ms)
        self._must_load = False
        self._epoch_seen = self._epoch_seen or origin.epoch is not None
        if before is None or before.broker_id != origin.broker_id or before.broker != origin.broker:
            self._answer, self._must_ask, self._seen_writing = None, True, False
        elif before.commit != origin.commit:
            self._seen_writing = True

    def unchanged(self, mono_ms: int) -> None:
        """The object is as it was loaded."""
        assert self._loaded is not None, "it was loaded"
        self.looked(self._loaded, mono_ms)
        self._must_load = False

    def looked(self, version: Version, mono_ms: int) -> None:
        """The object is at this version. What was loaded of another one is past, and not kept."""
        if version != self._version:
            self._version, self._since = version, mono_ms
        if version != self._loaded:
            self._loaded = None
        self._looked_at, self._missing_since, self._must_look = mono_ms, None, False

    def missing(self, mono_ms: int) -> None:
        """There is no such object."""
        self._looked_at = mono_ms
        if self._missing_since is None:
            self._missing_since = mono_ms

    def unread(self) -> None:
        """The store did not answer."""
        self._unread = True

    def heard(self, answer: ProbeAnswer, mono_ms: int) -> None:
        """What the leader's address answered."""
        first, self._answer = self._answer is None, answer
        self._asked_at, self._must_ask = mono_ms, False
        self._must_look = answer is not ProbeAnswer.LEADER  # what stood there before may be past
        if answer is ProbeAnswer.LEADER:
            self._out_of_reach, self._hushed = None, True
        if answer is ProbeAnswer.UNASKED and first:  # its next version tells whether it lives
            self._hushed = True

    # What a standby does next

    def step(self, mono_ms: int) -> Step:
        """What to do next; for a standby only."""
        assert self._role is Role.STANDBY, f"a broker that is {self._role} does not wait"
        if self._unread:
            self._unread = False
            return Rest(self._look_ms << min(self._refusals, REFUSALS_COUNTED))
        if self._missing_since is not None:
            return self._without_object(mono_ms, self._missing_since)
        origin = self._origin
        if origin is None or self._must_load:
            return Load(self._loaded)
        if origin.epoch is None and self._epoch_seen and not self.adopts:
            return self._halt(OVERWRITTEN.format(origin.broker))
        return self._released(mono_ms) if origin.broker is None else self._watch(origin, mono_ms)

    def _watch(self, origin: Origin, mono_ms: int) -> Step:
        """What the leader's address answers, and the object while it answers nothing, decide."""
        if self._must_ask:
            self._answer_for(origin, mono_ms)
        if self._must_ask:
            return self._ask(origin, mono_ms)
        if self._answer is ProbeAnswer.LEADER:
            return self._led(mono_ms)
        if self._must_look:
            return Look()
        if not self._is_gone(origin):
            return self._wait_still(origin, mono_ms)
        self._supposed_gone = origin.broker
        return self._take()

    def _answer_for(self, origin: Origin, mono_ms: int) -> None:
        """What need not be asked: the place is our own, or whoever has it takes no questions."""
        assert origin.broker is not None, "somebody leads"
        if origin.broker_id != self._broker_id and not is_dialled(origin.broker):
            self.heard(ProbeAnswer.UNASKED, mono_ms)
        elif origin.broker == self._address:
            self.heard(ProbeAnswer.OURSELVES, mono_ms)

    def _without_object(self, mono_ms: int, since: int) -> Step:
        """New only to a broker that has never seen it; its leader would create it again."""
        if self._origin is None:
            return self._take()
        if mono_ms - since >= 2 * self._settings.heartbeat_timeout_ms:
            return self._halt("the state object is gone, and no broker has created it again")
        return self._look_again(mono_ms, every_ms=self._look_ms)

    def _released(self, mono_ms: int) -> Step:
        if self._is_stale or mono_ms >= self._hold_off_until:
            return self._take()
        return self._look_again(mono_ms, every_ms=min(RELEASED_LOOK_MS, self._look_ms))

    def _led(self, mono_ms: int) -> Step:
        if mono_ms - self._looked_at >= self._settings.heartbeat_interval_ms:
            return Look()
        self._must_ask = True
        return Rest(max(0, self._asked_at + self._ask_ms - mono_ms))

    def _is_gone(self, origin: Origin) -> bool:
        if self._answer is ProbeAnswer.OURSELVES:
            return origin.broker_id == self._broker_id or not self._rivalled
        nobody_there = self._answer in {ProbeAnswer.REFUSED, ProbeAnswer.OTHER}
        return nobody_there and origin.broker != self._out_of_reach

    def _wait_still(self, origin: Origin, mono_ms: int) -> Step:
        if self._is_stale and self._is_worth_loading(mono_ms):
            return Load(self._loaded)
        if self.stood_ms(mono_ms) >= self._patience_ms(origin):
            return self._take()
        self._must_ask = True
        until = min(self._asked_at + self._look_ms, self._since + self._patience_ms(origin))
        return Rest(max(0, until - mono_ms))

    def _is_worth_loading(self, mono_ms: int) -> bool:
        """Whether a new version may tell of a release. One that lives but does not reach us makes
        new ones all the time, which may be large.
        """
        hushed, self._hushed = self._hushed, False
        longest_ms = self._settings.heartbeat_interval_ms + self._look_ms
        resigned = self._answer is ProbeAnswer.RESIGNED
        overdue = mono_ms - self._loaded_at >= self._settings.heartbeat_timeout_ms
        unasked = self._answer is ProbeAnswer.UNASKED and overdue  # by now another may lead
        return hushed or resigned or unasked or self.stood_ms(mono_ms) >= longest_ms

    def _take(self) -> Step:
        """Only on what was loaded: a write on an older version would be refused."""
        if self._is_stale:
            return Load(self._loaded)
        self._turn(Turn.CHANCE)
        return Take()

    def _halt(self, why: str) -> Halt:
        self._turn(Turn.SPOILED)
        return Halt(why)

    def _look_again(self, mono_ms: int, *, every_ms: int) -> Step:
        looked_ago = mono_ms - self._looked_at
        return Look() if looked_ago >= every_ms else Rest(every_ms - looked_ago)

    def _ask(self, origin: Origin, mono_ms: int) -> Ask:
        if self._answer is ProbeAnswer.LEADER:
            wait_ms, most_ms = self._ask_ms, self._ask_ms + ASK_GRACE_MS
        else:
            left_ms = self._since + self._patience_ms(origin) - mono_ms
            wait_ms, most_ms = 0, max(ASK_MS_MIN, min(ASK_GRACE_MS, left_ms))
        return Ask(origin, self._address, self._broker_id, wait_ms, most_ms)

    @property
    def _is_known(self) -> bool:
        """Whether the leader is taken to be there: it has answered, or it writes and takes no
        questions.
        """
        unasked = self._answer is ProbeAnswer.UNASKED and self._seen_writing
        return unasked or self._answer in {None, ProbeAnswer.LEADER}

    @property
    def _is_stale(self) -> bool:
        return self._missing_since is None and self._version != self._loaded

    def _patience_ms(self, origin: Origin) -> int:
        return max(self._settings.heartbeat_timeout_ms, 2 * (origin.heartbeat_every or 0))

    @property
    def _look_ms(self) -> int:
        return max(1, self._settings.heartbeat_timeout_ms // LOOKS_PER_TIMEOUT)

    @property
    def _ask_ms(self) -> int:
        ask_ms = self._settings.heartbeat_interval_ms // ASKS_PER_INTERVAL
        return min(max(1, ask_ms), STATUS_WAIT_MS_MAX)
