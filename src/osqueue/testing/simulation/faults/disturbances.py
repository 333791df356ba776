"""What goes wrong in a run: a list of disturbances, each with its time.

A run is told them as plain data, so that a failing one can be made shorter by leaving some out, and
a scenario can be written by hand. Some are moments, others last, and end by themselves. At the end
the world heals, whatever is still the matter.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

__all__ = ["LEADER", "NET", "STORE", "Disturbance", "Kind"]

LEADER: Final = "leader"
"""Whichever broker leads when the time has come, as one of the names of ``who`` and ``other``."""


class Kind(StrEnum):
    """What a disturbance does. ``share`` says how many calls or messages it befalls."""

    STORE_REQUESTS_LOST = "store-requests-lost"
    STORE_REPLIES_LOST = "store-replies-lost"
    STORE_LATE = "store-late"
    STORE_DOUBLED = "store-doubled"
    STORE_CONFLICT = "store-409"
    STORE_BUSY = "store-429"
    STORE_FAILING = "store-500"
    STORE_SLOW = "store-slow"
    STORE_SILENT = "store-silent"
    STORE_DOWN = "store-down"
    """Refuses all."""
    STORE_STALL = "store-stall"
    """Stands still: calls wait in it, and are carried out, in the order in which they came, when it
    goes on; that is when many of their callers have long given up."""

    NET_LOST = "net-lost"
    NET_DOUBLED = "net-doubled"
    NET_SLOW = "net-slow"
    CUT = "cut"
    """Nothing passes between ``who`` and ``other``."""
    CUT_ONE_WAY = "cut-one-way"
    """Nothing passes from ``who`` to ``other``."""

    REFUSE = "refuse"
    """Connections from ``who`` to ``other`` are refused, though ``other`` lives."""

    PAUSE = "pause"
    """``who`` takes no step. From a ``share`` of a half on its machine stands still with it, and
    what is sent there is lost; below, it is kept until the process goes on."""
    CRASH = "crash"
    """``who`` dies, after ``steps`` more steps, and starts again when the time is over. Its machine
    resets its connections, or dies with it, as ``share`` says: below a half it resets them."""
    STOP = "stop"
    """``who``, a broker or a worker, is stopped as it should be, and starts again when the time is
    over."""
    CLOCK_STEP = "clock-step"
    """The wall clock of ``who`` is put forward by ``steps`` milliseconds, or back."""

    HAND_EDIT = "hand-edit"
    """Somebody reads the state, sets the priority of one job, and puts it back by CAS."""
    HAND_ADD = "hand-add"
    """In the same way a job of his own is put there,"""
    HAND_REMOVE = "hand-remove"
    """one is taken out, however it is,"""
    HAND_REVIVE = "hand-revive"
    """or a dead letter is made to be handed out again, or a running job given back."""

    OLDER_WRITER = "older-writer"
    """An older implementation is at work on the object, and drops what it does not know. When it
    has been stopped, brokers go on from the copy that one of them has kept; or, from a ``share`` of
    a half on, from what it has left."""
    OBJECT_GONE = "object-gone"
    """Somebody deletes the object, and puts it back later, if nobody else has."""


STORE: Final = (
    Kind.STORE_REQUESTS_LOST,
    Kind.STORE_REPLIES_LOST,
    Kind.STORE_LATE,
    Kind.STORE_DOUBLED,
    Kind.STORE_CONFLICT,
    Kind.STORE_BUSY,
    Kind.STORE_FAILING,
    Kind.STORE_SLOW,
    Kind.STORE_SILENT,
)
NET: Final = (Kind.NET_LOST, Kind.NET_DOUBLED, Kind.NET_SLOW)


class Disturbance(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that goes wrong, at a time, and for a time, in seconds."""

    kind: Kind
    at_s: float
    for_s: float = 0.0
    who: str = ""
    other: str = ""
    share: float = 0.0
    steps: int = 0

    def __str__(self) -> str:
        said = [f"{self.kind}", self.who, self.other and f"and {self.other}"]
        said += [f"for {self.for_s:.1f} s"] if self.for_s else []
        said += [f"share {self.share:.2f}"] if self.share else []
        said += [f"steps {self.steps}"] if self.steps else []
        return " ".join(each for each in said if each)
