"""Seeds that are run each time, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

SEEDS = 300
AT_ONCE = 25

IN_BACKGROUND = ("sh", "-c", 'trap "" INT; exec "$0" "$@"')
"""As a shell starts what is not to hear Ctrl-C."""


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


@pytest.mark.parametrize("by", [(), IN_BACKGROUND], ids=["directly", "in the background"])
def test_seeds_when_stopped_amid_them_then_told_what_came_of_those_so_far(
    by: tuple[str, ...],
) -> None:
    options = ["--processes", "1", "--first", "3", "--seeds", "1000"]
    with subprocess.Popen(
        [*by, sys.executable, "-m", "tests.simulation", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert "of 1,000" in running.stderr.readline()
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does
        rest = running.stderr.read()
        told = json.loads(running.stdout.read())
    assert running.returncode == 130
    assert told["seeds"] >= 1
    assert rest.endswith(f"stopped; --first {3 + told['seeds']} goes on\n")
    assert "Traceback" not in rest
