"""Pauses in seconds, as they travel."""

from __future__ import annotations

import math
from typing import Any

import pytest

from osqueue.client import RetryPolicy
from osqueue.errors import ConfigError
from osqueue.jobs import Backoff


def test_policy_when_nothing_is_said_then_it_is_the_brokers_own() -> None:
    assert Backoff().policy() == RetryPolicy()


def test_policy_when_said_in_seconds_then_it_travels_in_milliseconds() -> None:
    expected = RetryPolicy(base_ms=1_500, factor=3.0, max_ms=60_000, jitter=1.0)
    assert Backoff(base=1.5, factor=3, max=60, jitter=1).policy() == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"base": -1},
        {"base": math.nan},
        {"base": math.inf},
        {"base": "5"},
        {"base": True},
        {"max": -1},
        {"max": 1e12},
        {"factor": 0.5},
        {"factor": 1_001},
        {"jitter": 1.1},
        {"jitter": -0.1},
    ],
)
def test_backoff_when_it_makes_no_sense_then_config_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="a Backoff has base and max in seconds"):
        Backoff(**wrong)
