"""What an object that is not as we left it tells about our last write.

A conflict proves nothing by itself: our own write may have landed and its answer been lost, a
proxy may have sent it twice, a person may have edited the object, another writer may have taken
over. What stands in the object decides.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from osqueue.config import LINEAGE_WRITERS_MAX
from osqueue.errors import CorruptStateError
from osqueue.model.lineage import CommitId
from osqueue.model.snapshot import Origin, read_origin
from osqueue.storage.protocol import Stored, Version

__all__ = [
    "Base",
    "Fate",
    "Finding",
    "Verdict",
    "fate_among_writers",
    "fate_by_lineage",
    "judge",
]


class Base(msgspec.Struct, frozen=True):
    """A version known to be durable, on which the next commit builds."""

    version: Version
    data: bytes
    commit: str | None
    """``None`` when an older implementation wrote it."""


class Verdict(StrEnum):
    """What happened to the object."""

    STANDS = "it is our base still"
    LANDED = "our commit landed"
    LANDED_THEN_EDITED = "our commit landed and was edited by hand"
    EDITED = "our base was edited by hand before our commit"
    FENCED = "another writer has taken over"
    OVERWRITTEN = "an older implementation has overwritten it"
    CORRUPT = "it cannot be read"


class Fate(StrEnum):
    """What became of a commit."""

    LANDED = "landed"
    NOT_APPLIED = "not applied"
    UNKNOWN = "unknown"


class Finding(msgspec.Struct, frozen=True):
    """A verdict, and what it rests on."""

    verdict: Verdict
    origin: Origin | None = None
    why: str = ""


def judge(
    stored: Stored, *, base: Base | None, commit_id: str | None, data: bytes | None
) -> Finding:
    """Compare what is stored with our base, and with the commit under way if there is one."""
    if base is not None and stored.version == base.version:
        return Finding(Verdict.STANDS)
    if data is not None and stored.data == data:
        return Finding(Verdict.LANDED)
    try:
        origin = read_origin(stored.data)
    except CorruptStateError as error:
        return Finding(Verdict.CORRUPT, why=error.message)
    if commit_id is not None and origin.commit == commit_id:
        return Finding(Verdict.LANDED_THEN_EDITED, origin)
    if base is not None and base.commit is not None and origin.commit == base.commit:
        return Finding(Verdict.EDITED, origin)
    return Finding(Verdict.OVERWRITTEN if origin.epoch is None else Verdict.FENCED, origin)


def fate_by_lineage(origin: Origin | None, epoch: int, commit_id: str) -> Fate:
    """What a later writer's record of our last landed commit tells about ``commit_id``."""
    last = None if origin is None else origin.lineage.get(str(epoch))
    if last is None:
        return Fate.UNKNOWN
    return Fate.LANDED if last == commit_id else Fate.NOT_APPLIED


def fate_among_writers(origin: Origin | None, commit: CommitId, *, base: Origin) -> Fate:
    """The same for a writer that shares its epoch: ``commit`` was to replace ``base``.

    Here conflicts are daily work, so a commit that was not applied must be known as such even by
    the first commit of a process, of which no version can tell. What stands in the object was
    written after ``base``, by somebody else. Had the commit been applied, whoever wrote on it would
    have recorded it; it would stand in the lineage unless that was cut, or grew over it:

    - The lineage is cut by an older implementation, which drops it, and nothing else. What follows
      begins under an epoch that was never used before. So the lineage was not cut since the commit
      if the object is of the commit's epoch still, or has an entry of it, or one of ``base``'s.
    - Entries leave in the order of recording, when there are too many. So the commit has not left
      while there are fewer, or while an entry is there that was recorded before the commit would
      have been: one that ``base`` had, ``base`` itself, or a lower number of its epoch.

    A backup put back undoes what was applied since, so what it does not tell of is not applied to
    it. All else is not known.
    """
    if origin is None:
        return Fate.UNKNOWN
    entries = [CommitId.parse(last) for last in origin.lineage.values()]
    own = [entry for entry in entries if entry is not None and entry.writer == commit.writer]
    if own:
        return Fate.LANDED if commit in own else Fate.NOT_APPLIED
    before = {*base.lineage.items()}
    earlier = [entry for entry in entries if entry is not None and _precedes(entry, commit)]
    if earlier or before & {*origin.lineage.items()}:
        return Fate.NOT_APPLIED
    whole = len(origin.lineage) < LINEAGE_WRITERS_MAX
    uncut = origin.epoch == commit.epoch or any(
        entry and entry.epoch == commit.epoch for entry in entries
    )
    return Fate.NOT_APPLIED if whole and uncut else Fate.UNKNOWN


def _precedes(entry: CommitId, commit: CommitId) -> bool:
    return entry.epoch == commit.epoch and entry.number < commit.number
