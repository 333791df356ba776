"""When each process has seen the state object: who shares a queue goes by what he himself saw."""

from __future__ import annotations

from bisect import bisect_left

__all__ = ["Sights"]


class Sights:
    """By the lives of processes: what one has seen, the next does not know."""

    def __init__(self) -> None:
        self._seen_us: dict[str, list[int]] = {}

    def saw(self, life: str, at_us: int) -> None:
        """The object was read, or written, by one."""
        self._seen_us.setdefault(life, []).append(at_us)

    def first_us(self, life: str, since_us: int) -> int | None:
        """When one first saw it after a time; what stood since then was in it."""
        seen_us = self._seen_us.get(life, [])
        at = bisect_left(seen_us, since_us)
        return seen_us[at] if at < len(seen_us) else None
