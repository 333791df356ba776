"""What once broke a law breaks none any more, and would be found again."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.simulation.mutants import Mutant, broken
from tests.simulation.regressions import Regression, keep, kept
from tests.simulation.rules import RULES

from osqueue.testing.simulation import Disturbance, Kind, Plan, simulate

_KEPT = kept()
_PLANNED = {it.name: it for it in _KEPT if it.plan is not None}
_BROUGHT_BACK = {name: it for name, it in _PLANNED.items() if it.edits}

WELL = Regression("all is well", "nothing", Plan(seed=3, storm_s=5.0))


@pytest.mark.parametrize("it", _PLANNED.values(), ids=_PLANNED)
def test_plan_when_its_fault_is_mended_then_it_holds(it: Regression) -> None:
    assert it.plan is not None
    assert simulate(it.plan).violation is None


@pytest.mark.parametrize("it", _BROUGHT_BACK.values(), ids=_BROUGHT_BACK)
def test_plan_when_its_fault_is_brought_back_then_it_is_found(it: Regression) -> None:
    assert it.plan is not None
    with broken(Mutant(it.name, it.edits)):
        assert simulate(it.plan).violation is not None


def test_regressions_when_read_then_each_says_what_was_wrong_and_shows_it_one_way() -> None:
    assert _KEPT, "faults have been found"
    assert len({it.name for it in _KEPT}) == len(_KEPT)
    rules = {rule.name for rule in RULES}
    for it in _KEPT:
        assert it.wrong
        assert (it.plan is None) == (it.rule in rules), it.name


def test_regression_when_kept_then_it_stands_there_once(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    file.write_text("[]")
    keep(WELL, file)
    keep(WELL, file)
    assert kept(file) == (WELL,)


def test_regression_when_its_fault_is_not_mended_then_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kept.json"
    file.write_text("[]")
    for name in ("DRAIN_S", "LATE_S"):
        monkeypatch.setattr(f"osqueue.testing.simulation.world.{name}", 1.0)
    down = Disturbance(Kind.STORE_DOWN, 1.0, 30.0)
    failing = Regression("x", "y", Plan(seed=3, storm_s=5.0, disturbances=(down,)))
    with pytest.raises(ValueError, match="does not hold yet"):
        keep(failing, file)
    assert kept(file) == ()
