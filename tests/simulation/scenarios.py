"""``python -m tests.simulation.scenarios``: finds, for each mutant, the first seed that catches it,
and the shortest scenario in which it still is caught, and writes both to ``scenarios.json``. With a
part of a mutant's name: only for those.

So each rule has a scenario that holds, and does not without the rule.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path
from typing import Final

import msgspec
from tests.simulation.mutants import MUTANTS, Mutant, broken

from osqueue.testing.simulation import Plan, plan_of, simulate
from osqueue.testing.simulation.shrink import shrunk

FILE: Final = Path(__file__).with_name("scenarios.json")

SEEDS_MAX: Final = 200
"""A mutant that none of so many seeds catches is one that the simulation does not see."""


class Scenario(msgspec.Struct):
    """How a mutant is caught. ``law``: what is said of it."""

    mutant: str
    seed: int
    plan: Plan
    law: str


def known() -> dict[str, Scenario]:
    """What was found, by the mutant's name."""
    found = msgspec.json.decode(FILE.read_bytes(), type=list[Scenario])
    return {each.mutant: each for each in found}


def find(mutant: Mutant) -> Scenario | None:
    """How it is caught, by the first seed that does."""
    with broken(mutant):
        for seed in range(1, SEEDS_MAX + 1):
            report = simulate(plan_of(seed))
            if report.violation is not None:
                shortest = shrunk(report)
                return Scenario(mutant.name, seed, shortest.plan, shortest.violation or "")
    return None


def main(wanted: str) -> int:
    found: dict[str, Scenario] = {}
    mutants = [each for each in MUTANTS if wanted in each.name]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for mutant, scenario in zip(mutants, pool.imap(find, mutants), strict=True):
            told = "NOT CAUGHT" if scenario is None else f"seed {scenario.seed}: {scenario.law}"
            sys.stderr.write(f"{mutant.name}: {told}\n")
            if scenario is not None:
                found[mutant.name] = scenario
    found = (known() if wanted else {}) | found
    each = [found[mutant.name] for mutant in MUTANTS if mutant.name in found]
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(each), indent=1) + b"\n")
    return int(len(each) < len(MUTANTS))


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
