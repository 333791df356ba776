"""Traces that are looked through at the end: everybody has been answered exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from .harness import Trace

__all__ = ["Start", "lead", "start"]

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
