"""A queue whose overview is made by hand: what happens, when it is renewed, and who reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from osqueue.clock import SystemClock
from osqueue.config import QueueLimits
from osqueue.engine.requests import Landed
from osqueue.model.apply import apply
from osqueue.model.job import JobStatus, Moment
from osqueue.model.ops import Op, Survey
from osqueue.model.outcomes import Outcome, Surveyed
from osqueue.model.state import QueueState
from osqueue.model.tally import Tally
from osqueue.server.dashboard.documents import Documents, Figures, Mark
from osqueue.server.dashboard.figures import broker_of, counts_of, types_of, workers_of
from osqueue.server.dashboard.history import History
from osqueue.wire.messages import BrokerStatus
from osqueue.wire.overview import OverviewBroker

__all__ = ["START_MS", "HandClock", "Reader", "World", "broker", "landed"]

START_MS = 1_800_000_000_000


class HandClock(SystemClock):
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.wall, self.mono = START_MS, 7_777

    def wall_ms(self) -> int:
        return self.wall

    def mono_ms(self) -> int:
        return self.mono

    def passes(self, ms: int) -> None:
        self.wall += ms
        self.mono += ms


class Reader:
    """Knows only what the documents say, as any program would that reads them."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}
        self.mark: Mark | None = None
        self.skipped = 0
        self.resets = 0

    @property
    def seq(self) -> str | None:
        return self.known.get("seq")

    def take(self, text: Raw | bytes | str) -> dict[str, Any]:
        """Apply one document."""
        told: dict[str, Any] = json.loads(bytes(text) if isinstance(text, Raw) else text)
        if told.get("reset"):
            self.resets += 1
            self.known = {"types": {}, "workers": {}, "history": None, "activity": []}
        known = self.known
        known["seq"] = told["seq"]
        known |= {name: told[name] for name in ("broker", "counts") if name in told}
        for type_, depths in told.get("types", {}).items():
            if depths is None:
                known["types"].pop(type_, None)
            else:
                known["types"][type_] = depths
        for worker in told.get("workers", []):
            known["workers"][worker["id"]] = worker
        for worker_id in told.get("workersGone", []):
            known["workers"].pop(worker_id, None)
        if "history" in told:
            known["history"] = _joined(known["history"], told["history"])
        known["activity"] = (known["activity"] + told.get("activity", []))[-20:]
        self.skipped += told.get("skipped", 0)
        return told


def _joined(old: dict[str, Any] | None, told: dict[str, Any]) -> dict[str, Any]:
    if old is None:
        return told
    keep = (told["from"] - old["from"]) // told["stepMs"]
    surplus = max(0, keep + len(told["depth"]) - told["stepsMax"])
    joined = {**told, "from": old["from"] + surplus * told["stepMs"]}
    for name, each in told.items():
        if isinstance(each, list):
            joined[name] = (old[name][:keep] + each)[surplus:]
    return joined


def broker(*, state_bytes: int = 1) -> OverviewBroker:
    status = BrokerStatus(
        ready=True, role="leader", address="me:1", broker_id="b", epoch=1, state_bytes=state_bytes
    )
    return broker_of(
        status, now=START_MS, leader_since=START_MS, version="1", store="memory://", problems=[]
    )


def landed(tally: Tally | None = None, *, changes: int = 1) -> Landed:
    return Landed(
        position=(1, 1), held=[], changes=changes, size=1, took_ms=1, tally=tally or Tally()
    )


class World:
    """A queue, and the overview of it."""

    def __init__(self, **limits: Any) -> None:
        self.clock = HandClock()
        self.state = QueueState(QueueLimits(**limits))
        self.state.record(whole=True)
        self.history = History(self.clock)
        self.documents = Documents("run", self.history)
        self.seeds = 0

    @property
    def moment(self) -> Moment:
        return Moment(self.clock.wall, self.clock.mono)

    def do(self, op: Op) -> Outcome:
        return apply(self.state, op, self.moment)

    def commit(self) -> None:
        """All that was done becomes durable."""
        tally, self.state.tally = self.state.tally, Tally()
        tally.waiting = self.state.counts[JobStatus.UNCLAIMED]
        self.history.committed(landed(tally))
        assert self.state.events is not None
        events = self.state.events.cut() or ()
        self.documents.happened(events[-20:], len(events))

    def renew(self, *, workers: Sequence[str] = ()) -> bool:
        """Look at it again."""
        surveyed = self.do(Survey(tuple(workers)))
        assert isinstance(surveyed, Surveyed)
        figures = Figures(
            counts_of(surveyed, 0), types_of(surveyed), workers_of(surveyed, (), self.clock.wall)
        )
        return self.documents.renew(broker(), figures)

    def tell(self, reader: Reader) -> dict[str, Any]:
        """The next document for somebody, by what he says that he knows."""
        mark = self.documents.read(reader.seq)
        return reader.take(self.documents.since(mark, self.clock.wall))

    def whole(self) -> Reader:
        """What somebody knows who has just come."""
        reader = Reader()
        reader.take(self.documents.since(None, self.clock.wall))
        return reader
