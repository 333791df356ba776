"""Seeds that are run each time, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SEEDS = 300
AT_ONCE = 25


@pytest.mark.parametrize("first", range(1, SEEDS + 1, AT_ONCE))
def test_seeds_when_run_then_every_law_holds(first: int) -> None:
    options = ["--processes", "1", "--first", str(first), "--seeds", str(AT_ONCE)]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["failed"] == []
    assert told["seeds"] == AT_ONCE
    assert told["happened"]["leadership taken"] > AT_ONCE
