"""Whether a queue is paused for certain, as those know it who have asked for it."""

from __future__ import annotations

from typing import Any

from osqueue.engine.requests import Held
from osqueue.model.ops import Pause, Resume

__all__ = ["Pausing"]


class Pausing:
    """A pause was acknowledged, and nobody has asked to resume since; nor before, without having
    been told what came of it: that may be applied yet.
    """

    def __init__(self) -> None:
        self.certain = False
        self._pause: Held | None = None
        self._unresolved: set[Held] = set()

    def asked(self, held: Held) -> None:
        """Somebody has asked for either."""
        if isinstance(held.op, Resume):
            self._unresolved.add(held)
            self.forget()
        elif not self._unresolved:
            self._pause = held

    def judge(self, held: Held) -> None:
        """Somebody has been answered."""
        if held.error is None or held.error.applied == "no":
            self._unresolved.discard(held)
        if held is self._pause and held.error is None:
            assert isinstance(held.op, Pause)
            self.certain = True

    def forget(self) -> None:
        """Somebody has done with the object whatever he liked."""
        self.certain, self._pause = False, None

    def gone(self, asked: list[Held]) -> None:
        """A process has ended: it applies nothing any more."""
        self._unresolved.difference_update(asked)

    def continues(self, before: Any, after: Any) -> None:
        """A version is made from the one that it replaces: while paused, with no new lease."""
        if self.certain:
            assert after.get("paused") is True, "resumed, and nobody has asked for it"
            new = _leases(after) - _leases(before)
            assert not new, f"paused, and handed out: {new}"


def _leases(whole: Any) -> set[str]:
    places = ("jobs", "finished")
    return {job["lease"] for name in places for job in whole.get(name, ()) if "lease" in job}
