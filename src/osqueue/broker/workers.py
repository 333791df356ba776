"""What a broker knows of workers beside their jobs: when each was last heard of, and what it says
of itself.

Only in memory, and only for those who watch: no lease rests on it. Laws: what a worker told is kept
until it tells anew; who was not heard of for long is forgotten; there is a bound on all of them,
and whoever was heard of longest ago makes room.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice

import msgspec

from osqueue.clock import Clock
from osqueue.config import WORKER_FORGET_MS, WORKERS_KNOWN_MAX
from osqueue.wire.messages import WorkerInfo

__all__ = ["KnownWorker", "Workers"]


class KnownWorker(msgspec.Struct, frozen=True):
    """One worker, as far as it is known."""

    id: str
    info: WorkerInfo | None
    """What it has told of itself, if it has."""
    seen_at: int
    """When it was last heard of, in ms since the epoch."""


class _Entry(msgspec.Struct):
    info: WorkerInfo | None
    seen_ms: int


class Workers:
    """The workers of one queue, by their ids."""

    def __init__(
        self, clock: Clock, *, most: int = WORKERS_KNOWN_MAX, forget_ms: int = WORKER_FORGET_MS
    ) -> None:
        self._clock = clock
        self._most = most
        self._forget_ms = forget_ms
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        """Whoever was heard of longest ago stands first."""

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._entries)

    def seen(self, worker_id: str, info: WorkerInfo | None = None) -> None:
        """A worker has asked for something. This is done for each request of one."""
        entry = self._entries.get(worker_id)
        if entry is None:
            self._make_room()
            self._entries[worker_id] = _Entry(info, self._clock.mono_ms())
            return
        self._entries.move_to_end(worker_id)
        entry.seen_ms = self._clock.mono_ms()
        if info is not None:
            entry.info = info

    def known(self, most: int) -> list[KnownWorker]:
        """The workers that were heard of last, the latest first."""
        self._forget()
        wall_ms, mono_ms = self._clock.wall_ms(), self._clock.mono_ms()
        return [
            KnownWorker(worker_id, entry.info, wall_ms - (mono_ms - entry.seen_ms))
            for worker_id, entry in islice(reversed(self._entries.items()), most)
        ]

    def _make_room(self) -> None:
        self._forget()
        while len(self._entries) >= self._most:
            self._entries.popitem(last=False)

    def _forget(self) -> None:
        since_ms = self._clock.mono_ms() - self._forget_ms
        while self._entries and next(iter(self._entries.values())).seen_ms < since_ms:
            self._entries.popitem(last=False)
