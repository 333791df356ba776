"""Traces that are looked through at the end: everybody has been answered exactly once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from osqueue.config import QueueLimits
from osqueue.engine.tenure import Sharing

from .harness import EPOCH, Trace
from .objects import shared_by

__all__ = ["Start", "lead", "share", "start"]

Start: TypeAlias = Callable[..., Trace]


@pytest.fixture
def start() -> Iterator[Start]:
    """Makes a committer whose first write, the takeover, is under way."""
    made: list[Trace] = []

    def make(data: bytes | None = None, **settings: Any) -> Trace:
        made.append(Trace(data, **settings))
        return made[-1]

    yield make
    for trace in made:
        trace.finish()


@pytest.fixture
def lead(start: Start) -> Start:
    """Makes a committer that leads; nothing is under way."""

    def make(data: bytes | None = None, **settings: Any) -> Trace:
        trace = start(data, **settings)
        trace.ok()
        return trace

    return make


LIMITS = QueueLimits(renewal_written_ms=10_000)
FRESH = json.dumps(
    {"format": 1, "epoch": EPOCH, "commit": f"{EPOCH}-1-shared.first", "broker": None}
    | {"brokerHeartbeat": 0, "completedTotal": 0, "jobs": []}
)
"""What the first writer of a queue leaves."""


@pytest.fixture
def share(start: Start) -> Start:
    """Makes one of several writers, on what another has written; nothing is under way."""

    def make(data: bytes | None = None, *, name: str = "me", **settings: Any) -> Trace:
        tenure = Sharing.named(name, epoch=EPOCH, takes=False)
        found = shared_by("x", FRESH.encode()) if data is None else data
        return start(found, tenure=tenure, limits=LIMITS, **settings)

    return make
