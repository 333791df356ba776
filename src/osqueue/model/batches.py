"""Sealed batches: which ended jobs go into one archive object, and how the object is named.

The key is ``archive/<hour>/<sealed>-<first>-<last>-<token>.jsonl``: hour and time of the sealing in
UTC, the range of the times that the jobs' ids carry, and a token that is never used again; times
are hexadecimal ms. So keys sort by time, old ones are found without reading, and a lookup by id
reads only the batches that may hold it. An id that carries no time (only UUIDv7s do) makes the
range of its batch all of time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

__all__ = ["ARCHIVE_PREFIX", "BatchName", "Outbox", "batch_key", "hour_of", "id_time"]

ARCHIVE_PREFIX = "archive/"

_TIME_MAX = 2**48 - 1
_UUID7 = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE
)
_KEY = re.compile(
    ARCHIVE_PREFIX
    + r"(\d{4}-\d\d-\d\dT\d\d)/[0-9a-f]{12}-([0-9a-f]{12})-([0-9a-f]{12})-[^/]+\.jsonl"
)


class Outbox(msgspec.Struct, frozen=True, gc=False):
    """A sealed batch: the ended jobs that stand in the archive object ``key``, in this order."""

    key: str
    ids: tuple[str, ...]


class BatchName(NamedTuple):
    """What the key of an archive object tells."""

    key: str
    hour: str
    """The hour of its sealing in UTC, as ``YYYY-MM-DDTHH``."""
    first: int
    last: int
    """The times of the ids in it lie between these two, in ms since the epoch."""

    def may_hold(self, time: int | None) -> bool:
        """Whether an id of that time can be in it; ``None``: an id that carries no time."""
        if time is None:
            return (self.first, self.last) == (0, _TIME_MAX)
        return self.first <= time <= self.last

    @staticmethod
    def parse(key: str) -> BatchName | None:
        """What a key tells, or ``None`` if it names no batch."""
        match = _KEY.fullmatch(key)
        if match is None:
            return None
        return BatchName(key, match[1], int(match[2], 16), int(match[3], 16))


def batch_key(ids: Iterable[str], wall_ms: int, token: str) -> str:
    """The key of a batch sealed at a time. ``token`` must never have been used."""
    times = [id_time(job_id) for job_id in ids]
    known = [time for time in times if time is not None]
    first, last = (min(known), max(known)) if len(known) == len(times) else (0, _TIME_MAX)
    name = f"{wall_ms:012x}-{first:012x}-{last:012x}-{token}"
    return f"{ARCHIVE_PREFIX}{hour_of(wall_ms)}/{name}.jsonl"


def id_time(job_id: str) -> int | None:
    """When a UUIDv7 was made, in ms since the epoch; ``None`` for another id."""
    if _UUID7.fullmatch(job_id) is None:
        return None
    return int(job_id[:8] + job_id[9:13], 16)


def hour_of(wall_ms: int) -> str:
    """The hour in UTC, as ``YYYY-MM-DDTHH``; sorts by time."""
    return datetime.fromtimestamp(wall_ms // 1_000, UTC).strftime("%Y-%m-%dT%H")
