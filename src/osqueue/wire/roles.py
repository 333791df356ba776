"""What a caller may do: every operation asks for one of these."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Role"]


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
