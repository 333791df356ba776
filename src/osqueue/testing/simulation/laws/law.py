"""How a law is said to be broken."""

from __future__ import annotations

__all__ = ["BrokenLawError", "expect"]


class BrokenLawError(AssertionError):
    """A law of the queue does not hold.

    ``law`` is the same for all that break it: it may hold ``%s`` for what is ``said`` of this one.
    """

    def __init__(self, law: str, *said: object) -> None:
        super().__init__(law % said if said else law)
        self.law = law


def expect(holds: object, law: str, *said: object) -> None:
    """Raise `BrokenLawError` unless it holds."""
    if not holds:
        raise BrokenLawError(law, *said)
