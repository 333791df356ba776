"""What an object that is not as we left it tells about our last write.

A conflict proves nothing by itself: our own write may have landed and its answer been lost, a
proxy may have sent it twice, a person may have edited the object, another writer may have taken
over. What stands in the object decides.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from osqueue.errors import CorruptStateError
from osqueue.model.snapshot import Origin, read_origin
from osqueue.storage.protocol import Stored, Version

__all__ = ["Base", "Fate", "Finding", "Verdict", "fate_by_lineage", "judge"]


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
