"""How often each may ask."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osqueue.config import RATE_BUCKETS_MAX
from osqueue.errors import OverloadedError
from osqueue.server.door.rates import RateLimiter, rate_key


class Limits:
    def __init__(self, per_s: float, burst: int = 0) -> None:
        self.now_ms = 0
        self.limiter = RateLimiter(per_s=per_s, burst=burst, mono_ms=lambda: self.now_ms)

    def allows(self, caller: str = "a") -> bool:
        try:
            self.limiter.spend(caller)
        except OverloadedError:
            return False
        return True


def test_caller_when_quiet_until_now_then_may_ask_as_often_as_the_burst() -> None:
    limits = Limits(10, burst=3)
    assert [limits.allows() for _ in range(5)] == [True, True, True, False, False]


def test_caller_when_time_passes_then_one_more_for_each_share_of_it() -> None:
    limits = Limits(10, burst=3)
    while limits.allows():
        pass
    limits.now_ms = 99
    assert not limits.allows()
    limits.now_ms = 100
    assert [limits.allows(), limits.allows()] == [True, False]
    limits.now_ms = 1_000_000
    assert [limits.allows() for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(("per_s", "burst"), [(5, 5), (0.5, 1), (2.5, 3), (1, 1)])
def test_burst_when_not_given_then_that_of_one_second(per_s: float, burst: int) -> None:
    limits = Limits(per_s)
    assert [limits.allows() for _ in range(burst + 1)] == [True] * burst + [False]


def test_caller_when_another_asks_too_often_then_is_not_harmed() -> None:
    limits = Limits(1)
    while limits.allows("loud"):
        pass
    assert limits.allows("quiet")


@pytest.mark.parametrize(("per_s", "after_s"), [(10, 1), (0.25, 4)])
def test_refusal_when_made_then_it_says_when_to_come_again(per_s: float, after_s: int) -> None:
    limits = Limits(per_s)
    while limits.allows():
        pass
    with pytest.raises(OverloadedError, match=r"a asks more often .* in \d+ ms") as caught:
        limits.limiter.spend("a")
    assert caught.value.retry_after_s == after_s
    assert caught.value.applied == "no"
    limits.now_ms += after_s * 1_000
    assert limits.allows()


def test_memory_when_callers_are_many_then_bounded() -> None:
    limits = Limits(1, burst=2)
    for number in range(RATE_BUCKETS_MAX + 500):
        assert limits.allows(str(number))
    assert len(limits.limiter) == RATE_BUCKETS_MAX


def test_memory_when_callers_fall_quiet_then_they_take_none() -> None:
    limits = Limits(1)
    for number in range(100):
        limits.allows(str(number))
    limits.now_ms = 60_000
    for _ in range(200):
        limits.allows("a")
    assert len(limits.limiter) == 1


@given(
    per_s=st.floats(0.1, 1_000),
    burst=st.integers(1, 50),
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3_000)), max_size=200),
)
def test_caller_when_asking_in_any_way_then_never_more_than_rate_and_burst(
    per_s: float, burst: int, steps: list[tuple[str, int]]
) -> None:
    limits = Limits(per_s, burst)
    allowed = dict.fromkeys("abc", 0)
    for caller, pause_ms in steps:
        limits.now_ms += pause_ms
        allowed[caller] += limits.allows(caller)
        most = burst + limits.now_ms * per_s / 1_000
        assert allowed[caller] <= most + 1e-6


@pytest.mark.parametrize(
    ("host", "key"),
    [
        (None, ""),
        ("10.0.0.6", "10.0.0.6"),
        ("::ffff:10.0.0.6", "10.0.0.6"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no:address", "no:address"),
    ],
)
def test_host_when_counted_then_by_what_one_customer_has(host: str | None, key: str) -> None:
    assert rate_key(host) == key
