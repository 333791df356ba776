"""Tests that use what a session starts once run in one process, whatever starts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.spread import group_of


def of_the_session(item: pytest.Function) -> Iterator[str]:
    """The fixtures of ours that are made once a session, and that this test asks for."""
    for name, definitions in item._fixtureinfo.name2fixturedefs.items():
        if any(each.scope == "session" and _is_ours(each.func) for each in definitions):
            yield name


def _is_ours(fixture: Callable[..., object]) -> bool:
    return fixture.__module__.startswith("tests.")


def test_tests_when_they_use_what_is_started_once_then_they_are_in_a_group(
    request: pytest.FixtureRequest,
) -> None:
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    assert request.node in items
    alone = {name for item in items for name in of_the_session(item) if group_of(item) is None}
    assert not alone
