"""What happened in a run: every call, execution, version of the state, and fault, as plain data.

All times are seconds of one monotonic clock, that of the harness, through which everything went.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec

__all__ = [
    "Call",
    "Death",
    "Execution",
    "History",
    "Lead",
    "Position",
    "Round",
    "Sample",
    "now",
]

Position: TypeAlias = tuple[int, int]
"""Epoch and number of a commit."""


class Call(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    """One call of one client, with all its tries."""

    client: str
    way: str = ""
    """The kind of transport by which the client goes."""
    op: str
    start: float
    end: float | None = None
    limit_s: float = 0
    """By when it must have been answered."""
    consistent: bool = False
    ids: list[str] = []
    leases: list[str] = []
    position: Position | None = None
    """The commit that the last answer rests on."""
    discarded: int = 0
    """Answers that the client itself threw away, because they were older than others."""
    ok: bool = False
    tag: str = ""
    retryable: bool = False
    message: str = ""
    refused: dict[str, str] = {}
    """Of a batch: the error's tag by job id."""
    completed_total: int | None = None
    """What a read has shown: the counts, or the status of its one job."""
    submitted_total: int | None = None
    status: str | None = None


class Execution(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    """One run of a handler."""

    job_id: str
    lease: str
    worker: str
    attempt: int
    start: float
    end: float | None = None
    cancelled: bool = False
    sound: bool = True
    """Whether the payload arrived as it was submitted."""


class Sample(msgspec.Struct, frozen=True, gc=False):
    """The head of the state object as it was read."""

    at: float
    epoch: int
    commit: str
    broker: str | None
    broker_id: str | None

    @property
    def number(self) -> int:
        return int(self.commit.split("-")[1])


class Lead(msgspec.Struct, frozen=True, gc=False):
    """A process says that it leads."""

    broker: str
    epoch: int


class Death(msgspec.Struct, frozen=True, gc=False):
    """A broker process that ended; ``wanted``: because the harness made it."""

    at: float
    broker: str
    code: int
    wanted: bool


class Round(msgspec.Struct, kw_only=True):
    """One fault and its healing."""

    fault: str
    variant: str
    start: float
    healed: float = 0
    end: float = 0
    kills: int = 0
    locked: bool = False
    """Whether a process was stopped while it held the local store's lock."""


class History(msgspec.Struct):
    """Everything of one run. Lists are in the order of the starts."""

    calls: list[Call] = msgspec.field(default_factory=list)
    executions: list[Execution] = msgspec.field(default_factory=list)
    samples: list[Sample] = msgspec.field(default_factory=list)
    leads: list[Lead] = msgspec.field(default_factory=list)
    deaths: list[Death] = msgspec.field(default_factory=list)
    rounds: list[Round] = msgspec.field(default_factory=list)

    def write(self, path: Path) -> None:
        """As JSON lines, each with its kind."""
        with path.open("wb") as file:
            for kind, entry in self._entries():
                file.write(msgspec.json.encode({"kind": kind, **msgspec.to_builtins(entry)}))
                file.write(b"\n")

    def _entries(self) -> Iterator[tuple[str, object]]:
        for name in self.__struct_fields__:
            for entry in getattr(self, name):
                yield name, entry


def now() -> float:
    """Seconds on the clock of all histories."""
    return time.perf_counter()
