"""The model of commit and election keeps its laws in every state; without one of its rules, not."""

from __future__ import annotations

import msgspec
import pytest
from tests.formal.checker import MAIN, MUTANTS, PROGRESS, Model, check, without

pytestmark = pytest.mark.external


@pytest.mark.parametrize("model", [*MAIN, *PROGRESS], ids=lambda model: model.name)
def test_model_when_every_state_is_looked_at_then_all_laws_hold(
    model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = check(model)
    with capsys.disabled():
        print(f"\n{model.name}: {verdict}")
    assert verdict.whole, str(verdict)
    assert verdict.holds, "\n".join(verdict.trail)
    assert not verdict.unreached, "the model says more than it does"


def test_model_when_the_search_is_cut_short_then_nothing_is_shown() -> None:
    verdict = check(msgspec.structs.replace(MAIN[0], memory_mib=200))
    assert verdict.states > 1_000, "it had begun"
    assert verdict.told == "IS NOT SHOWN"
    assert not verdict.shown


@pytest.mark.parametrize("mutant", MUTANTS)
def test_model_when_a_rule_is_left_out_then_a_law_is_broken(mutant: str) -> None:
    verdict = check(without(mutant))
    assert verdict.broken == MUTANTS[mutant], "\n".join(verdict.trail)


def test_model_when_nothing_is_put_again_then_it_gets_stuck() -> None:
    verdict = check(without("NO_RETRY"))
    assert not verdict.holds
    assert verdict.broken is None, "it breaks no law: it only never ends"
    assert "from now on nothing fails" in verdict.trail


def test_trail_when_a_law_is_broken_then_tells_who_did_what() -> None:
    trail = check(without("NO_LINEAGE")).trail
    assert trail[0].endswith("loads 0-0-1a, would lead")
    assert any(line.startswith("client: sends ") for line in trail)
    assert any(line.startswith("store: 2-1-") for line in trail), "another has taken the place"
    assert trail[-2].endswith("that it was not applied")
    assert trail[-1] == f"BROKEN: {MUTANTS['NO_LINEAGE']}"
