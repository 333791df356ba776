"""Things by name, each with the version in which it changed, so that what is new can be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from osqueue.config import OVERVIEW_GONE_MAX

__all__ = ["Stamped"]

T = TypeVar("T")


class Stamped(Generic[T]):
    """What has gone is remembered as well, but not for ever: see ``known_from``."""

    def __init__(self) -> None:
        self._now: dict[str, T] = {}
        self._stamps: dict[str, int] = {}
        self._gone: dict[str, int] = {}
        """Longest gone first."""
        self.known_from = 0
        """Who was told an earlier version must be told all anew."""

    def update(self, fresh: Mapping[str, T], version: int) -> bool:
        """Let it be so; whether that is anything new."""
        before, stamps = self._now, self._stamps
        gone = before.keys() - fresh.keys()
        for name in gone:
            del stamps[name]
            self._gone[name] = version
        changed = bool(gone)
        for name, value in fresh.items():
            if name not in before or before[name] != value:
                stamps[name] = version
                self._gone.pop(name, None)
                changed = True
        self._now = dict(fresh)
        while len(self._gone) > OVERVIEW_GONE_MAX:
            self.known_from = self._gone.pop(next(iter(self._gone)))
        return changed

    def all(self) -> dict[str, T]:
        """Everything."""
        return self._now

    def since(self, version: int) -> dict[str, T]:
        """What has changed after this version."""
        return {name: self._now[name] for name, at in self._stamps.items() if at > version}

    def gone_since(self, version: int) -> list[str]:
        """What was there in this version or after it, and is not any more."""
        return [name for name, at in self._gone.items() if at > version]
