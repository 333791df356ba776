"""The same seed gives the same run, byte for byte, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import NoReturn

import pytest

from osqueue.clock import SystemClock, SystemEntropy
from osqueue.testing.simulation import plan_of, simulate

SHARED_SEED = 9
"""A world without a broker at first."""

_PROGRAM = """
import sys
from osqueue.testing.simulation import plan_of, simulate
print(simulate(plan_of(int(sys.argv[1])), traced=True).fingerprint)
"""


def _elsewhere(seed: int, hash_seed: str) -> str:
    told = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(seed)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return told.stdout.strip()


@pytest.mark.parametrize("seed", [3, 7, SHARED_SEED])
def test_a_run_when_repeated_then_is_the_same_byte_for_byte(seed: int) -> None:
    here = simulate(plan_of(seed), traced=True)
    assert here.violation is None
    assert len(here.trace) > 300
    assert here.fingerprint == simulate(plan_of(seed), traced=True).fingerprint
    assert here.fingerprint == _elsewhere(seed, "1") == _elsewhere(seed, "4711")


def test_plan_when_of_a_world_without_a_broker_then_one_comes_later() -> None:
    plan = plan_of(SHARED_SEED)
    assert plan.sharers >= 2
    assert plan.brokers_at_s > 30


def test_runs_when_their_seeds_differ_then_differ() -> None:
    first, second = (simulate(plan_of(seed), traced=True) for seed in (3, 7))
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("seed", [3, SHARED_SEED])
def test_run_when_the_machine_has_no_clock_and_no_chance_then_it_needs_none(
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    def leak(*_: object) -> NoReturn:
        raise AssertionError("this is of the machine, not of the simulated world")

    for name in ("wall_ms", "mono_ms", "cpu_us"):
        monkeypatch.setattr(SystemClock, name, leak)
    for name in ("job_id", "job_ids", "token", "secret", "jitter"):
        monkeypatch.setattr(SystemEntropy, name, leak)
    monkeypatch.setattr("osqueue.core.precise_us", leak)
    monkeypatch.setattr(threading.Thread, "start", leak)
    assert simulate(plan_of(seed)).violation is None
