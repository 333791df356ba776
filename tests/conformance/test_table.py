"""The page of the documentation says what the tests say."""

from __future__ import annotations

from tests.conformance.table import PAGE, table


def test_page_when_compared_with_the_rows_then_it_is_theirs() -> None:
    assert PAGE.read_text() == table(), "run `python -m tests.conformance`"
