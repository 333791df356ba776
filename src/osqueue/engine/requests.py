"""What goes in and out of the committer: requests, what the store answered, what to do next."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias

import msgspec

from osqueue.errors import OsqueueError
from osqueue.model.events import Told
from osqueue.model.job import Moment
from osqueue.model.ops import Op
from osqueue.model.outcomes import Outcome
from osqueue.model.tally import Tally
from osqueue.storage.protocol import Stored, Version

__all__ = [
    "BEFORE",
    "Action",
    "Check",
    "Conflicted",
    "Discard",
    "End",
    "EndReason",
    "Failed",
    "Found",
    "Gone",
    "Held",
    "Instant",
    "JobsOver",
    "Landed",
    "Notice",
    "Publish",
    "ReadBack",
    "ReadResult",
    "Save",
    "Unapplied",
    "Unchanged",
    "Unclear",
    "Write",
    "WriteResult",
    "Written",
]


class Instant(NamedTuple):
    """The time of an event, in milliseconds by two clocks."""

    wall: int
    mono: int


class Ticket(Protocol):
    """How a waiting caller is told that its request has been answered."""

    def done(self) -> bool: ...

    def set_result(self, result: None, /) -> None: ...


class Held(msgspec.Struct, eq=False, kw_only=True):
    """A request from its arrival to its answer, which is held until it is true for good."""

    op: Op
    waits: bool = False
    """Whether a claim that finds nothing waits for a job."""
    consistent: bool = False
    """Whether leadership must be confirmed after the arrival."""
    size: int = 0
    """Bytes that it keeps in memory."""
    ticket: Ticket | None = None
    """The caller's own; ``None`` for the engine's own operations."""

    arrived: int = 0
    order: int = 0
    """Its place among all that arrived."""
    at: Moment = Moment(0, 0)
    outcome: Outcome | None = None
    error: OsqueueError | None = None
    writes: bool = False
    """Whether it changed something that has to be durable before the answer."""
    waited: bool = False
    """Whether it came from the waiting claims; applied again, it goes back there."""
    answered: bool = False
    gives_back: frozenset[str] | None = None
    """Seeds of the leases that are released when its caller goes away; ``None``: all of them."""
    position: tuple[int, int] | None = None
    """Epoch and number of the last commit that the answer rests on."""


class Written(msgspec.Struct, frozen=True):
    """The write was applied."""

    version: Version


class Conflicted(msgspec.Struct, frozen=True):
    """The precondition failed."""


class Unclear(msgspec.Struct, frozen=True):
    """The write may or may not have been applied, or may be applied later."""

    why: str


class Unapplied(msgspec.Struct, frozen=True):
    """The attempt was not applied: busy, unreachable or denied."""

    why: str
    busy: bool = False
    """Whether the store asked to slow down, so that waiting is all it takes."""


class Gone(msgspec.Struct, frozen=True):
    """There is no such object."""


class Found(msgspec.Struct, frozen=True):
    """The object as it is now."""

    stored: Stored


class Unchanged(msgspec.Struct, frozen=True):
    """The object is at the version that was asked about."""


class Failed(msgspec.Struct, frozen=True):
    """The read did not succeed."""

    why: str


WriteResult: TypeAlias = Written | Conflicted | Unclear | Unapplied | Gone
ReadResult: TypeAlias = Found | Unchanged | Gone | Failed


class Write(msgspec.Struct, frozen=True):
    """Write the state object: create it when ``if_version`` is ``None``. Answer: `written`."""

    data: bytes
    if_version: Version | None


class ReadBack(msgspec.Struct, frozen=True):
    """Read the state object after a conflict, unless it is at this version. Answer: `read_back`."""

    unless: Version | None = None


class Check(msgspec.Struct, frozen=True):
    """Read the state object unless it is at this version still. Answer: `checked`."""

    unless: Version
    began: int
    arrivals: int
    """How many requests had arrived by then."""


BEFORE = "before-"
"""Begins the suffix of a copy of our state that an older implementation has overwritten."""


class Save(msgspec.Struct, frozen=True):
    """Keep these bytes beside the state object, under its key and ``suffix``. Answer: `saved`."""

    suffix: str
    data: bytes


class Discard(msgspec.Struct, frozen=True):
    """Delete payload objects: the commit that ended their jobs is durable. There is no answer."""

    keys: tuple[str, ...]


class Landed(msgspec.Struct, frozen=True, kw_only=True):
    """A commit is durable. ``changes``: of jobs in it, and now and then of the queue itself."""

    position: tuple[int, int]
    held: list[Held]
    """The requests in it, and before it those that wrote nothing."""
    changes: int
    size: int
    took_ms: int
    """From the fixing of its bytes on."""
    tally: Tally = msgspec.field(default_factory=Tally)
    """What it did to jobs."""

    @property
    def ops(self) -> int:
        """How many operations changed something."""
        return sum([held.writes for held in self.held])


class Publish(msgspec.Struct, frozen=True):
    """What a durable commit tells of jobs: only while somebody listens."""

    position: tuple[int, int]
    told: Told


class JobsOver(msgspec.Struct, frozen=True):
    """Jobs whose end is awaited have ended, or died: durable or not, it is worth looking again."""

    ids: tuple[str, ...]


class Notice(msgspec.Struct, frozen=True):
    """Tell the people who run the broker."""

    message: str
    error: bool = False


class EndReason(StrEnum):
    """Why a committer came to its end."""

    RELEASED = "released"
    STOPPED = "stopped"
    FAILED = "failed"
    UNWRITABLE = "unwritable"
    FENCED = "fenced"
    OVERWRITTEN = "overwritten"
    CORRUPT = "corrupt"


class End(msgspec.Struct, frozen=True):
    """Leadership is over; nothing more will be written."""

    reason: EndReason
    message: str
    leader: str | None = None


Action: TypeAlias = (
    Write | ReadBack | Check | Save | Discard | Landed | Publish | JobsOver | Notice | End
)
