"""The model of commit and election keeps its laws in every state; without one of its rules, not."""

from __future__ import annotations

import pytest
from tests.formal.checker import FOR_MUTANTS, LIVENESS, MAIN, PROGRESS, Model, check

pytestmark = pytest.mark.external

LOST = "what was acknowledged is not durable"
LIED = "what was called not applied took effect"
TWICE = "an operation took effect twice"
TWO_WRITERS = "an epoch has two writers"
EPOCH_AGAIN = "an epoch was taken twice, or went back"

MUTANTS = {
    "NEW_BYTES": LIED,
    "TRUST_REREAD": LIED,
    "CONFLICT_PROVES": LIED,
    "NO_LINEAGE": LIED,
    "EARLY_RELEASE": LIED,
    "LAST_ANSWER": LIED,
    "EARLY_ANSWER": LOST,
    "APPLY_AGAIN": TWICE,
    "IGNORE_EPOCH": TWO_WRITERS,
    "SAME_EPOCH": EPOCH_AGAIN,
    "BLIND_TAKEOVER": EPOCH_AGAIN,
}
"""Each rule that can be left out, and the law that the shortest counterexample breaks."""


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


@pytest.mark.parametrize("mutant", MUTANTS)
def test_model_when_a_rule_is_left_out_then_a_law_is_broken(mutant: str) -> None:
    verdict = check(FOR_MUTANTS.mutated(mutant))
    assert verdict.broken == MUTANTS[mutant], "\n".join(verdict.trail)


def test_model_when_nothing_is_put_again_then_it_gets_stuck() -> None:
    defines = ("PROGRESS", "OPS=1", "EPOCHS=1", "LATES=1", "M_NO_RETRY")
    verdict = check(Model("no retry", defines, LIVENESS))
    assert not verdict.holds
    assert verdict.broken is None, "it breaks no law: it only never ends"
    assert "from now on nothing fails" in verdict.trail


def test_trail_when_a_law_is_broken_then_tells_who_did_what() -> None:
    trail = check(FOR_MUTANTS.mutated("NO_LINEAGE")).trail
    assert trail[0].endswith("loads 0-0-1a, would lead")
    assert any(line.startswith("client: sends ") for line in trail)
    assert any(line.startswith("store: 2-1-") for line in trail), "another has taken the place"
    assert trail[-2].endswith("that it was not applied")
    assert trail[-1] == f"BROKEN: {LIED}"
