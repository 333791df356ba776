"""A failing run is made shorter for as long as it breaks the same law."""

from __future__ import annotations

from functools import cache

import pytest
from msgspec.structs import replace
from tests.simulation.mutants import MUTANTS, broken
from tests.simulation.scenarios import known

from osqueue.testing.simulation import Disturbance, Kind, Plan, Report, plan_of, simulate
from osqueue.testing.simulation.shrink import shrunk

NEEDED = frozenset({(Kind.CRASH, 3.0), (Kind.CUT, 9.0), (Kind.NET_SLOW, 15.0)})
STORM = tuple(Disturbance(kind, float(n)) for n, kind in enumerate([*Kind, *Kind]))
"""Each kind twice, one a second."""


@cache
def _well() -> Report:
    return simulate(Plan(seed=3, storm_s=5.0))


def _pretended(plan: Plan) -> Report:
    """One law is broken while a crash is among the disturbances, another with all of `NEEDED`."""
    there = {(each.kind, each.at_s) for each in plan.disturbances}
    crashes = any(kind is Kind.CRASH for kind, _ in there)
    law = "all three are needed: %s" if there >= NEEDED else "it crashes" if crashes else None
    return replace(_well(), plan=plan, law=law, violation=law)


def test_run_when_shortened_then_only_what_breaks_that_very_law_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("osqueue.testing.simulation.shrink.simulate", _pretended)
    spread = [Disturbance(kind, at_s) for kind, at_s in NEEDED]
    storm = tuple(sorted([*STORM, *spread], key=lambda each: each.at_s))
    report = shrunk(_pretended(Plan(seed=3, storm_s=180.0, disturbances=storm)))
    assert report.law == "all three are needed: %s"
    assert {(each.kind, each.at_s) for each in report.plan.disturbances} == NEEDED
    assert len(report.plan.disturbances) == len(NEEDED)
    assert report.plan.storm_s == 20.0


def test_run_when_nothing_can_be_left_out_then_it_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("osqueue.testing.simulation.shrink.simulate", lambda _plan: _well())
    report = replace(_well(), plan=Plan(seed=3, disturbances=STORM), law="x", violation="x")
    assert shrunk(report) is report


def test_run_when_a_rule_is_left_out_then_it_is_shortened_to_what_shows_it() -> None:
    mutant = MUTANTS[0]
    found = known()[mutant.name]
    beside = [Disturbance(Kind.NET_SLOW, at_s, for_s=1.0, share=0.1) for at_s in (0.5, 1.5, 2.5)]
    with broken(mutant):
        long = simulate(replace(found.plan, disturbances=(*beside, *found.plan.disturbances)))
        assert long.law is not None
        short = shrunk(long)
        assert short.law == long.law
        assert len(short.plan.disturbances) < len(long.plan.disturbances)
        assert simulate(short.plan).violation == short.violation
    assert simulate(short.plan).violation is None


def test_report_when_all_is_well_then_no_law_is_named() -> None:
    report = simulate(replace(plan_of(3), storm_s=1.0, disturbances=()))
    assert (report.law, report.violation) == (None, None)
