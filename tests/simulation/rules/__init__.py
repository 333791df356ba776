"""Rules of the system, each with a script in which it shows: the script holds, and does not hold
for a system without the rule.

Seeds come upon what a rule prevents by chance; a script goes there. It is short, says what happens
step by step, and tells a reader what the rule is for. A theme is one file, longer than others: a
list in which one looks something up.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from tests.simulation.rules import (
    archive,
    commit,
    conflicts,
    hands,
    jobs,
    leadership,
    leases,
    sharing,
)
from tests.simulation.rules.rule import Rule

__all__ = ["RULES", "THEMES"]

THEMES: Final[tuple[ModuleType, ...]] = (
    jobs,
    commit,
    conflicts,
    hands,
    leadership,
    leases,
    sharing,
    archive,
)


def rules_of(theme: ModuleType) -> list[Rule]:
    """In the order in which they are read."""
    return [each for each in vars(theme).values() if isinstance(each, Rule)]


RULES: Final = tuple(each for theme in THEMES for each in rules_of(theme))
