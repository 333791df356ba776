"""How a law is said to be broken."""

from __future__ import annotations

__all__ = ["BrokenLawError", "expect"]


class BrokenLawError(AssertionError):
    """A law of the queue does not hold."""


def expect(holds: object, law: str, *said: object) -> None:
    """Raise `BrokenLawError` unless it holds; ``law`` may hold ``%s`` for what is ``said``."""
    if not holds:
        raise BrokenLawError(law % said if said else law)
