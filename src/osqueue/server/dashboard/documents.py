"""The overview as documents: whole, or what has changed since an earlier one. No I/O, no clock.

Laws: whoever applies each document that he is given to what he had before, has what a whole one
would tell; a document is made once for all who were told the same before; what is kept for those
who come back is bounded, and whoever comes back too late gets the whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

from osqueue.config import OVERVIEW_ACTIVITY_MAX, OVERVIEW_EVERY_S
from osqueue.model.events import Event
from osqueue.server.dashboard.figures import activity_of
from osqueue.server.dashboard.history import History
from osqueue.server.dashboard.stamped import Stamped
from osqueue.wire.messages import JobEvent
from osqueue.wire.overview import (
    Overview,
    OverviewBroker,
    OverviewCounts,
    OverviewType,
    OverviewWorker,
)

__all__ = ["Documents", "Figures", "Mark", "standing"]

FRESH_MS: Final = int(OVERVIEW_EVERY_S * 1_000)
"""How old the time may be that a document tells."""

MADE_MAX: Final = 256
"""Documents that are kept until something changes: each reader who polls may be elsewhere."""

_encode = msgspec.json.Encoder().encode


class Figures(NamedTuple):
    """How the queue stands, as the overview tells it."""

    counts: OverviewCounts
    types: Mapping[str, OverviewType]
    workers: Mapping[str, OverviewWorker]


class Mark(NamedTuple):
    """Up to where somebody has been told everything."""

    version: int
    step: int
    events: int


class Documents:
    """What is told of one term of leadership. ``run``: its name, never used again."""

    def __init__(self, run: str, history: History) -> None:
        self.run = run
        self._history = history
        self._history_at = self._broker_at = self._counts_at = 0
        """The versions in which they changed."""
        self._touched, self._shifts = -1, history.shifts
        self._broker: OverviewBroker | None = None
        self._counts: OverviewCounts | None = None
        self._types: Stamped[OverviewType] = Stamped()
        self._workers: Stamped[OverviewWorker] = Stamped()
        self._happening: deque[Event] = deque(maxlen=OVERVIEW_ACTIVITY_MAX)
        self._happened = 0
        """How many events there have been."""
        self._activity: tuple[JobEvent, ...] = ()
        """The newest of them that are told."""
        self._whole_from = 0
        """Who was told an earlier version is told all anew."""
        self._made: dict[tuple[Mark | None, int], Raw] = {}
        self.mark = Mark(0, history.number, 0)
        """Where a document leaves its reader now; version 0: there is nothing to tell yet."""

    # As it is fed

    def happened(self, events: Iterable[Event], number: int) -> None:
        """There were so many events, and these are the newest. They are told with a `renew`."""
        self._happening.extend(events)
        self._happened += number

    def renew(self, broker: OverviewBroker, figures: Figures | None) -> bool:
        """Let it be so from now on; whether anything is new. ``figures``: ``None``: as before."""
        version = self.mark.version + 1
        changed = self._renew_history(version)
        if broker != self._broker:
            self._broker, self._broker_at, changed = broker, version, True
        if figures is not None:
            changed |= self._renew_figures(figures, version)
        if self.mark.events != self._happened:
            self._activity, changed = tuple(map(activity_of, self._happening)), True
        if changed:
            self.mark = Mark(version, self._history.number, self._happened)
            self._made.clear()
        return changed

    def _renew_history(self, version: int) -> bool:
        history = self._history
        history.keep_time()
        if history.touched == self._touched:
            return False
        if history.shifts != self._shifts:
            self._whole_from = version
        self._touched, self._shifts, self._history_at = history.touched, history.shifts, version
        return True

    def _renew_figures(self, figures: Figures, version: int) -> bool:
        changed = self._types.update(figures.types, version)
        changed |= self._workers.update(figures.workers, version)
        if figures.counts != self._counts:
            self._counts, self._counts_at, changed = figures.counts, version, True
        return changed

    # As it is told

    @property
    def workers(self) -> Container[str]:
        """Those that are told of."""
        return self._workers.all()

    def read(self, seq: str | None) -> Mark | None:
        """What a reader has been told who names this; ``None``: nothing that goes on from here."""
        run, *numbers = (seq or "").split("-")
        if run != self.run or len(numbers) != len(Mark._fields):
            return None
        if not all(each.isascii() and each.isdigit() for each in numbers):
            return None
        mark = Mark(*map(int, numbers))
        return mark if self._continues(mark) else None

    def since(self, mark: Mark | None, now: int) -> Raw:
        """What has changed since then, or the whole: JSON text, made once for all who ask."""
        if mark is not None and not self._continues(mark):
            mark = None
        key = (mark, now // FRESH_MS)
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= MADE_MAX:
                self._made.clear()
            told = self._whole(now) if mark is None else self._delta(mark, now)
            made = self._made[key] = Raw(_encode(told))
        return made

    def _continues(self, mark: Mark) -> bool:
        """Whether it is known all that has changed since then."""
        known_from = max(self._whole_from, self._types.known_from, self._workers.known_from, 1)
        return (
            known_from <= mark.version <= self.mark.version
            and self._history.first <= mark.step <= self.mark.step
            and mark.events <= self.mark.events
        )

    def _seq(self) -> str:
        return "-".join([self.run, *map(str, self.mark)])

    def _whole(self, now: int) -> Overview:
        return Overview(
            seq=self._seq(),
            now=now,
            reset=True,
            broker=self._broker,
            counts=self._counts,
            types=dict(self._types.all()),
            history=self._history.since(self._history.first),
            workers=list(self._workers.all().values()),
            activity=list(self._activity),
        )

    def _delta(self, mark: Mark, now: int) -> Overview:
        version, events = mark.version, self.mark.events - mark.events
        types: dict[str, OverviewType | None] = dict.fromkeys(self._types.gone_since(version))
        types |= self._types.since(version)
        shown = min(events, len(self._activity))
        return Overview(
            seq=self._seq(),
            now=now,
            broker=self._broker if self._broker_at > version else None,
            counts=self._counts if self._counts_at > version else None,
            types=types or None,
            history=self._history.since(mark.step) if self._history_at > version else None,
            workers=list(self._workers.since(version).values()) or None,
            workers_gone=self._workers.gone_since(version),
            activity=list(self._activity[len(self._activity) - shown :]),
            skipped=events - shown,
        )


def standing(run: str, now: int, broker: OverviewBroker) -> Raw:
    """What a broker tells that does not lead: of itself alone."""
    return Raw(_encode(Overview(seq=f"{run}-0", now=now, reset=True, broker=broker)))
