"""The names of commits, and the record of where each writer's commits ended.

A commit is ``<epoch>-<number>-<writer>``. The writer is a leader's instance, or ``shared.<token>``:
a process that writes without leading, beside others of its kind. Numbers grow along the versions of
an epoch, whoever writes them; a leader begins at 1 under an epoch of its own.

``lineage`` holds, for each of the last writers, its last commit that somebody else has written on
top of: under the epoch for a leader, which has it for itself, and under the writer for one that
shares its epoch. Law: whoever writes on another writer's version records that version's commit,
last; so the entries stand in the order of the commits that they name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from osqueue.config import LINEAGE_WRITERS_MAX

__all__ = ["SHARED", "CommitId", "is_number", "recorded"]

SHARED = "shared."
"""How the ids of writers begin that share their epoch with others."""

_DIGITS_MAX = 18


class CommitId(NamedTuple):
    """What the name of a commit tells."""

    epoch: int
    number: int
    writer: str

    def __str__(self) -> str:
        return f"{self.epoch}-{self.number}-{self.writer}"

    @property
    def shares(self) -> bool:
        """Whether its writer has the epoch with others."""
        return self.writer.startswith(SHARED)

    @staticmethod
    def parse(commit: str | None) -> CommitId | None:
        """What a commit's name tells, or ``None`` for one of another form."""
        epoch, _, rest = (commit or "").partition("-")
        number, _, writer = rest.partition("-")
        if not (is_number(epoch) and is_number(number)):
            return None
        return CommitId(int(epoch), int(number), writer)


def recorded(lineage: Mapping[str, str], *, epoch: int, commit: str) -> dict[str, str]:
    """The lineage with the last commit of a version's writer, on which another is about to write.
    Doing it again changes nothing.

    ``epoch``: the version's own, for a commit whose name tells nothing.
    """
    name = CommitId.parse(commit) or CommitId(epoch, 0, "")
    key = name.writer if name.shares else str(name.epoch)
    entries = {writer: last for writer, last in lineage.items() if writer != key}
    entries[key] = commit
    return dict(list(entries.items())[-LINEAGE_WRITERS_MAX:])


def is_number(text: str) -> bool:
    """Whether a text is one of the numbers in the names of commits, such as an epoch."""
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
