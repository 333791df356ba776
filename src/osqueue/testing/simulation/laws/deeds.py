"""What people did to jobs in the state object by hand: which jobs, how, and when.

The laws exempt exactly these, each for what was done to it: a job that was added needs no submit,
one that was removed may be missing, one that was given back may lose its lease.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import NamedTuple

__all__ = ["Deed", "Deeds", "Done"]


class Deed(StrEnum):
    """What becomes of one job."""

    EDITED = "edited"
    """It is the same job, and stands as it stood but for what was changed."""
    ADDED = "added"
    REMOVED = "removed"
    REVIVED = "revived"
    """A dead letter is to be handed out again, as if it never had been."""
    GIVEN_BACK = "given back"
    """Its lease is taken away; its attempt counts."""


class Done(NamedTuple):
    """One deed, and the moment in which its version is written."""

    deed: Deed
    job_id: str
    at_us: int


class Deeds:
    """All deeds so far."""

    def __init__(self) -> None:
        self._done: dict[Done, None] = {}
        self._counts: Counter[tuple[Deed, str]] = Counter()
        self.payloads: dict[str, bytes] = {}
        """Of the jobs that were added."""

    def note(self, deed: Deed, job_id: str, at_us: int) -> None:
        """To be told before the version is written, in the same moment."""
        self._done[Done(deed, job_id, at_us)] = None
        self._counts[deed, job_id] += 1

    def did(self, deed: Deed, job_id: str, at_us: int) -> bool:
        """Whether that was done in that moment."""
        return Done(deed, job_id, at_us) in self._done

    def times(self, deed: Deed, job_id: str) -> int:
        """How often that was done to a job."""
        return self._counts[deed, job_id]

    def done_at(self, at_us: int) -> list[Done]:
        """What was done in a moment."""
        return [done for done in self._done if done.at_us == at_us]

    def __len__(self) -> int:
        return len(self._done)
