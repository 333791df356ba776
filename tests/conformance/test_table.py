"""The page of the documentation says what the tests say."""

from __future__ import annotations

import pytest
from tests.conformance.elsewhere import ELSEWHERE
from tests.conformance.rows import Held
from tests.conformance.table import PAGE, table


def test_page_when_compared_with_the_rows_then_it_is_theirs() -> None:
    assert PAGE.read_text() == table(), "run `python -m tests.conformance`"


@pytest.mark.parametrize("held", ELSEWHERE, ids=lambda held: held.name)
def test_rule_when_held_elsewhere_then_there_is_such_a_test(held: Held) -> None:
    assert held.test.__name__ == held.name
