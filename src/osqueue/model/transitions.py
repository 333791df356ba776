"""The life of a job as one table. Every change of a status goes through it.

The state diagram of the documentation is drawn from this table (`python -m
osqueue.model.transitions` prints it).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from osqueue.model.job import END_STATUSES, JobStatus

__all__ = ["TRANSITIONS", "Move", "mermaid"]


class Move(StrEnum):
    """A step in a job's life."""

    CLAIM = "claim"
    RENEW = "heartbeat"
    COMPLETE = "complete"
    REQUEUE = "fail or expire, attempts left"
    RELEASE = "release"
    BURY = "fail or expire, out of attempts"
    CANCEL = "cancel"
    REORDER = "set priority"
    DISCARD = "discard"
    REVIVE = "retry"


_UNCLAIMED, _IN_PROGRESS, _DEAD = JobStatus.UNCLAIMED, JobStatus.IN_PROGRESS, JobStatus.DEAD

TRANSITIONS: Final[Mapping[tuple[JobStatus, Move], JobStatus]] = MappingProxyType(
    {
        (_UNCLAIMED, Move.CLAIM): _IN_PROGRESS,
        (_UNCLAIMED, Move.CANCEL): JobStatus.CANCELLED,
        (_UNCLAIMED, Move.REORDER): _UNCLAIMED,
        (_IN_PROGRESS, Move.RENEW): _IN_PROGRESS,
        (_IN_PROGRESS, Move.COMPLETE): JobStatus.COMPLETED,
        (_IN_PROGRESS, Move.REQUEUE): _UNCLAIMED,
        (_IN_PROGRESS, Move.RELEASE): _UNCLAIMED,
        (_IN_PROGRESS, Move.BURY): _DEAD,
        (_IN_PROGRESS, Move.CANCEL): JobStatus.CANCELLED,
        (_DEAD, Move.REVIVE): _UNCLAIMED,
        (_DEAD, Move.DISCARD): JobStatus.DISCARDED,
    }
)
"""What may happen to a job, and where it leads. What is not here is refused."""


def mermaid() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> unclaimed: submit"]
    lines += [
        f"    {source} --> {target}: {move}" for (source, move), target in TRANSITIONS.items()
    ]
    ends = sorted({target for target in TRANSITIONS.values() if target in END_STATUSES})
    lines += [f"    {end} --> [*]" for end in ends]
    return "\n".join(lines)


if __name__ == "__main__":
    print(mermaid())  # noqa: T201 - its purpose
