"""A failing run made as short as it can be: the fewest disturbances, and the least time."""

from __future__ import annotations

from itertools import chain
from typing import Final

from msgspec.structs import replace

from osqueue.testing.simulation.faults.disturbances import Disturbance
from osqueue.testing.simulation.world import Report, simulate

__all__ = ["shrunk"]

STORMS_S: Final = (10.0, 20.0, 40.0, 80.0, 120.0)
"""Lengths of the storm that are tried instead."""


def shrunk(report: Report) -> Report:
    """The shortest run found that breaks the same law as this one.

    First the storm is cut off early, then disturbances are left out: half of them, a quarter, and
    so on to single ones, again and again until each that is left is needed.
    """
    report = _cut_off(report)
    size = max(1, len(report.plan.disturbances) // 2)
    while True:
        shorter = _without_some(report, size)
        if shorter is report and size == 1:
            return report
        report, size = shorter, max(1, size // 2)


def _cut_off(report: Report) -> Report:
    """With the shortest storm that suffices."""
    plan = report.plan
    for storm_s in STORMS_S:
        if storm_s >= plan.storm_s:
            break
        kept = tuple(each for each in plan.disturbances if each.at_s < storm_s)
        shorter = simulate(replace(plan, storm_s=storm_s, disturbances=kept))
        if shorter.law == report.law:
            return shorter
    return report


def _without_some(report: Report, size: int) -> Report:
    """Without each run of so many disturbances that is not needed, tried one after another."""
    parts = _parts(report.plan.disturbances, size)
    for part in list(parts):
        rest = [each for each in parts if each is not part]
        plan = replace(report.plan, disturbances=tuple(chain.from_iterable(rest)))
        shorter = simulate(plan)
        if shorter.law == report.law:
            report, parts = shorter, rest
    return report


def _parts(each: tuple[Disturbance, ...], size: int) -> list[tuple[Disturbance, ...]]:
    return [each[at : at + size] for at in range(0, len(each), size)]
