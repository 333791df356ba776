"""The laws of handing out: nothing while the queue is paused, and the first that came first."""

from __future__ import annotations

from collections.abc import Mapping

from osqueue.testing.simulation.laws.law import expect
from osqueue.testing.simulation.laws.views import View

__all__ = ["expect_in_order", "expect_none_out"]


def expect_none_out(before: Mapping[str, View], jobs: Mapping[str, View]) -> None:
    """Raise `BrokenLawError` if a job was handed out between two versions."""
    for earlier in before.values():
        now = jobs.get(earlier.id)
        out = earlier.lease is None and now is not None and now.lease is not None
        expect(not out, "job %s was handed out while the queue was paused", earlier.id)


def expect_in_order(before: Mapping[str, View], jobs: Mapping[str, View]) -> None:
    """Of jobs that wait for the first time, the lowest priorities are handed out first, and of one
    priority those that came first. Raises `BrokenLawError`.
    """
    waiting: dict[str, tuple[int, int]] = {}
    taken: dict[str, tuple[int, int]] = {}
    for place, earlier in enumerate(before.values()):
        now = jobs.get(earlier.id)
        if not earlier.fresh or now is None:
            continue
        if now.priority != earlier.priority:
            continue
        rank = (earlier.priority, place)
        if now.fresh:
            waiting[earlier.type] = min(rank, waiting.get(earlier.type, rank))
        elif now.status == "in_progress":
            taken[earlier.type] = max(rank, taken.get(earlier.type, rank))
    for type_, rank in taken.items():
        first = waiting.get(type_)
        expect(first is None or rank < first, "%s: %s went out before %s", type_, rank, first)
