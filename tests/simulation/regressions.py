"""What once broke a law: each with its name, and what was wrong; kept, and run for ever.

``make simulate`` prints a failing run's shortest plan as JSON. Once the fault is mended,

    python -m tests.simulation.regressions "what has to hold" "what was wrong" < plan.json

keeps it in ``regressions.json``: it must hold by then. ``edits`` there bring the fault back, where
other words in the source can: so that it is seen that the plan still finds it. A fault that a
script shows better names the rule that it broke (`tests.simulation.rules`) instead of a plan.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import msgspec
from tests.simulation.mutants import Edit

from osqueue.testing.simulation import Plan, simulate

__all__ = ["FILE", "Regression", "keep", "kept"]

FILE: Final = Path(__file__).with_name("regressions.json")


class Regression(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """``name``: what has to hold; ``wrong``: why it did not."""

    name: str
    wrong: str
    plan: Plan | None = None
    edits: tuple[Edit, ...] = ()
    rule: str = ""


def kept(file: Path = FILE) -> tuple[Regression, ...]:
    """All that are known."""
    return msgspec.json.decode(file.read_bytes(), type=tuple[Regression, ...])


def keep(new: Regression, file: Path = FILE) -> None:
    """Add one, or put it in the place of the one of its name. Its plan must hold by now."""
    assert new.plan is not None, "what a script shows is a rule"
    violation = simulate(new.plan).violation
    if violation is not None:
        raise ValueError(f"it does not hold yet: {violation}")
    each = [one for one in kept(file) if one.name != new.name]
    data = msgspec.json.format(msgspec.json.encode([*each, new]), indent=1)
    file.write_bytes(data + b"\n")


if __name__ == "__main__":
    _, name, wrong = sys.argv
    keep(Regression(name, wrong, msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)))
