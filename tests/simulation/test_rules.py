"""Each rule is held by a script that shows what it is for."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.simulation.rules import RULES
from tests.simulation.rules.elsewhere import ELSEWHERE
from tests.simulation.rules.page import PAGE, page
from tests.simulation.rules.rule import Rule, play

TESTS = Path(__file__).parents[1]

_by_name = pytest.mark.parametrize("it", RULES, ids=[each.name for each in RULES])


@_by_name
def test_script_when_the_rule_stands_then_it_holds(it: Rule) -> None:
    assert play(it) is None


@_by_name
def test_script_when_the_rule_is_left_out_then_it_does_not_hold(it: Rule) -> None:
    found = play(it, without=True)
    assert found is not None
    assert it.found in found


def test_script_when_played_twice_then_the_same_happens() -> None:
    for it in RULES[::10]:
        first: list[str] = []
        second: list[str] = []
        play(it, trace=first)
        play(it, trace=second)
        assert first == second, it.name


def test_rules_when_counted_then_each_stands_once_and_says_what_is_found() -> None:
    assert len({it.name for it in RULES}) == len({it.script for it in RULES}) == len(RULES)
    assert all(it.without and it.found for it in RULES)


def test_page_of_rules_when_compared_with_them_then_it_is_up_to_date() -> None:
    assert PAGE.read_text() == page()


@pytest.mark.parametrize("test", [held.test for held in ELSEWHERE])
def test_rule_when_held_elsewhere_then_its_test_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name}(" in (TESTS / file).read_text()
