from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osqueue.server.dashboard.quantiles import Spread


@given(st.lists(st.integers(0, 2**50), min_size=1), st.sampled_from([0.01, 0.5, 0.99, 1.0]))
def test_quantile_when_compared_with_all_values_then_it_is_near(
    values: list[int], share: float
) -> None:
    spread = Spread()
    spread.add(values)
    exact = sorted(values)[ceil(len(values) * share) - 1]
    found = spread.quantile(share)
    assert found == pytest.approx(exact, rel=1 / 16)


def test_quantile_when_there_are_no_values_then_none() -> None:
    assert Spread().quantile(0.5) is None


def test_add_when_a_clock_was_set_back_then_less_than_nothing_is_nothing() -> None:
    spread = Spread()
    spread.add([-5])
    assert spread.quantile(1.0) == 0


def test_add_when_there_are_very_many_then_memory_does_not_grow_with_them() -> None:
    spread = Spread()
    spread.add(range(100_000))
    assert len(spread._counts) < 300
