"""A failing run made as short as it can be: the fewest disturbances, and the least time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Final

from msgspec.structs import replace

from osqueue.testing.simulation.faults.disturbances import Disturbance
from osqueue.testing.simulation.plan import Plan

__all__ = ["shrunk"]

STORMS_S: Final = (10.0, 20.0, 40.0, 80.0, 120.0)
"""Lengths of the storm that are tried instead."""


def shrunk(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """The shortest plan found that still ``fails``; ``plan`` does.

    First the storm is cut off early, then disturbances are left out: half of them, a quarter, and
    so on to single ones, again and again until each that is left is needed.
    """
    for storm_s in STORMS_S:
        kept = tuple(each for each in plan.disturbances if each.at_s < storm_s)
        shorter = replace(plan, storm_s=storm_s, disturbances=kept)
        if storm_s < plan.storm_s and fails(shorter):
            plan = shorter
            break
    size = max(1, len(plan.disturbances) // 2)
    while True:
        plan, changed = _without_some(plan, size, fails)
        if not changed and size == 1:
            return plan
        size = max(1, size // 2)


def _without_some(plan: Plan, size: int, fails: Callable[[Plan], bool]) -> tuple[Plan, bool]:
    """Leave out, one after another, each run of so many that is not needed."""
    parts = _parts(plan.disturbances, size)
    changed = False
    for part in list(parts):
        rest = [each for each in parts if each is not part]
        shorter = replace(plan, disturbances=tuple(chain.from_iterable(rest)))
        if fails(shorter):
            plan, parts, changed = shorter, rest, True
    return plan, changed


def _parts(each: tuple[Disturbance, ...], size: int) -> list[tuple[Disturbance, ...]]:
    return [each[at : at + size] for at in range(0, len(each), size)]
