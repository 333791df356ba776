"""Several jobs that are looked for in the archive in one go: each batch is read once for all.

No I/O: it says which batches may hold any of those still missing, and takes what is found in one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from osqueue.model.batches import BatchName, id_time

__all__ = ["Found", "Sought"]

_HEAD = b'{"id":"'
_encode = msgspec.json.Encoder().encode


class Found(NamedTuple):
    """What a search of the archive has brought."""

    lines: dict[str, bytes]
    """The JSON of each ended job that was found, by its id."""
    unread: frozenset[str]
    """Jobs that may stand in a batch that was not read any more: the search is bounded."""


class Sought:
    """The jobs that are looked for, and what has been found of them."""

    def __init__(self, job_ids: Iterable[str]) -> None:
        self.lines: dict[str, bytes] = {}
        self.size = 0
        """Of all that was found, in bytes."""
        self._missing = {_head_of(job_id): job_id for job_id in job_ids}
        self._note_times()

    def __bool__(self) -> bool:
        """Whether any are still missing."""
        return bool(self._missing)

    def may_be_in(self, name: BatchName) -> bool:
        """Whether a batch may hold any of the missing."""
        at = bisect_left(self._times, name.first)
        dated = at < len(self._times) and self._times[at] <= name.last
        return dated or (self._timeless and name.may_hold(None))

    def missing_of(self, names: Iterable[BatchName]) -> frozenset[str]:
        """The missing that may be in one of these."""
        behind = list(names)
        times = {job_id: id_time(job_id) for job_id in self._missing.values()}
        return frozenset(
            job_id for job_id, time in times.items() if any(name.may_hold(time) for name in behind)
        )

    def take(self, data: bytes) -> None:
        """Look through the lines of a batch: what is in it is the newest of its id."""
        for line in data.split(b"\n"):
            job_id = self._missing.pop(line[: line.find(b'",', len(_HEAD)) + 2], None)
            if job_id is not None:
                self.lines[job_id] = line
                self.size += len(line)
        self._note_times()

    def _note_times(self) -> None:
        times = list(map(id_time, self._missing.values()))
        self._times = sorted(time for time in times if time is not None)
        self._timeless = len(self._times) < len(times)


def _head_of(job_id: str) -> bytes:
    """How the line of a job begins."""
    return b'{"id":' + _encode(job_id) + b","
