"""How long a failed job waits."""

from __future__ import annotations

import pytest

from osqueue.config import RetryPolicy
from osqueue.model.retries import delay_ms

STEADY = RetryPolicy(base_ms=1_000, factor=2.0, max_ms=60_000, jitter=0)


def test_delay_when_attempts_go_on_then_it_grows_up_to_the_bound() -> None:
    waits = [delay_ms(STEADY, "j", attempt) for attempt in range(1, 9)]
    assert waits == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]


@pytest.mark.parametrize("attempt", [2_000, 2**31 - 1])
def test_delay_when_the_power_is_beyond_any_float_then_the_bound(attempt: int) -> None:
    assert delay_ms(STEADY, "j", attempt) == 60_000


def test_delay_when_the_factor_is_a_whole_number_then_no_number_without_end_is_made() -> None:
    whole = RetryPolicy(base_ms=1_000, factor=2, max_ms=60_000, jitter=0)
    assert delay_ms(whole, "j", 2**31 - 1) == 60_000


def test_delay_when_the_base_is_zero_then_at_once_always() -> None:
    policy = RetryPolicy(base_ms=0, factor=1_000)
    assert [delay_ms(policy, "j", attempt) for attempt in (1, 500)] == [0, 0]


def test_delay_when_the_factor_is_one_then_it_stays() -> None:
    policy = RetryPolicy(base_ms=70, factor=1.0, jitter=0)
    assert {delay_ms(policy, "j", attempt) for attempt in (1, 2, 2**31 - 1)} == {70}


def test_delay_when_jittered_then_spread_over_the_share_and_never_beyond() -> None:
    policy = RetryPolicy(base_ms=10_000, factor=1.0, jitter=0.25)
    waits = [delay_ms(policy, f"job-{number}", 1) for number in range(1_000)]
    assert 7_500 <= min(waits) < 7_600
    assert 9_900 < max(waits) <= 10_000
    assert len(set(waits)) > 700


def test_delay_when_jittered_then_each_attempt_has_its_own_and_the_same_again() -> None:
    policy = RetryPolicy(base_ms=10_000, factor=1.0, jitter=1.0)
    waits = [delay_ms(policy, "j", attempt) for attempt in range(1, 20)]
    assert len(set(waits)) == len(waits)
    assert waits == [delay_ms(policy, "j", attempt) for attempt in range(1, 20)]
