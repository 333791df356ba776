"""What a caller may do: every operation asks for one of these."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

__all__ = ["Needed", "Role", "called"]


class Role(StrEnum):
    """A token has one or several. ``ADMIN`` has all."""

    OBSERVE = "observe"
    """Look: jobs, payloads, counts, events, metrics."""
    PRODUCE = "produce"
    """Submit jobs, and cancel them."""
    WORK = "work"
    """Claim jobs, keep them, and end them."""
    ADMIN = "admin"
    """Queue dead letters again, hand leadership over, see the state as it is stored."""


Needed: TypeAlias = Role | frozenset[Role] | None
"""What an operation asks for: a role, any one of some, or none."""


def called(needed: Needed) -> str:
    """For people: ``work``, or ``produce or work``."""
    return " or ".join(sorted(needed)) if isinstance(needed, frozenset) else str(needed)
