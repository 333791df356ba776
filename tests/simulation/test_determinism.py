"""The same seed gives the same run, byte for byte, in any process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from osqueue.testing.simulation import plan_of, simulate

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


@pytest.mark.parametrize("seed", [3, 7, 12])
def test_a_run_when_repeated_then_is_the_same_byte_for_byte(seed: int) -> None:
    here = simulate(plan_of(seed), traced=True)
    assert here.violation is None
    assert len(here.trace) > 300
    assert here.fingerprint == simulate(plan_of(seed), traced=True).fingerprint
    assert here.fingerprint == _elsewhere(seed, "1") == _elsewhere(seed, "4711")


def test_runs_when_their_seeds_differ_then_differ() -> None:
    first, second = (simulate(plan_of(seed), traced=True) for seed in (3, 7))
    assert first.fingerprint != second.fingerprint
