"""The checker is checked: each variant that is broken on purpose is caught."""

from __future__ import annotations

import pytest
from tests.simulation.mutants import MUTANTS, Mutant, broken
from tests.simulation.scenarios import SEEDS_MAX, known

from osqueue.testing.simulation import plan_of, simulate

_KNOWN = known()
_by_name = pytest.mark.parametrize("mutant", MUTANTS, ids=[each.name for each in MUTANTS])


def test_mutants_when_counted_then_each_has_its_scenario() -> None:
    assert set(_KNOWN) == {each.name for each in MUTANTS}
    assert len(MUTANTS) >= 16
    assert all(each.seed <= SEEDS_MAX for each in _KNOWN.values())


@_by_name
def test_seed_when_the_system_is_broken_then_a_law_is(mutant: Mutant) -> None:
    with broken(mutant):
        assert simulate(plan_of(_KNOWN[mutant.name].seed)).violation is not None


@_by_name
def test_scenario_when_the_rule_stands_then_it_holds_and_without_it_does_not(
    mutant: Mutant,
) -> None:
    plan = _KNOWN[mutant.name].plan
    assert simulate(plan).violation is None
    with broken(mutant):
        assert simulate(plan).violation is not None
