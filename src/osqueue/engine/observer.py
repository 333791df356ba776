"""What a broker does, told as it happens to whoever measures it: metrics, traces, logs.

An observer is called on the loop, between two awaits, for every request: it must be quick, and must
not wait. Laws: what an observer does never changes what the broker does; one that raises is logged
once, and goes on being called; of a commit it hears only once that is durable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, Protocol

from osqueue.engine.requests import Landed

__all__ = ["OK", "Answered", "Observer", "Observers"]

logger = logging.getLogger("osqueue.observer")

OK: Final = "ok"
"""The outcome of a request that did what it asked for."""


class Answered(NamedTuple):
    """A request, and how it was answered."""

    operation: str
    """Its name in `osqueue.wire.operations`, or a page's path; ``""`` when there is none."""
    transport: str
    """``rest``, ``ws``, ``connect``, ``grpc`` or ``direct``."""
    outcome: str
    """`OK`, the tag of the error, or ``gone`` when there was nobody to answer any more."""
    took_us: int
    """From its arrival to the sent answer; of a claim, with its wait."""
    status: int = 0
    """Of HTTP, where that is spoken."""
    received: int = 0
    """Bytes of the request's body."""
    sent: int = 0
    """Bytes of the answer's body, where they are counted."""
    principal: str = ""
    """Who asked: the name of the token, never the token."""
    peer: str = ""
    """The caller's address."""


class Observer(Protocol):
    """Somebody who measures. Each method returns at once."""

    def committed(self, landed: Landed) -> None:
        """A commit is durable."""
        ...

    def store_called(self, kind: str, took_us: int, error: str | None) -> None:
        """The store has answered: ``get``, ``head``, ``create``, ``put``, ``delete``, ``list``.

        ``error``: the class of what it failed with; a call that was given up is one, too.
        """
        ...

    def role_changed(self, role: str, epoch: int) -> None:
        """The broker leads, stands by, … from now on. ``epoch``: the last one it knows."""
        ...

    def answered(self, answered: Answered) -> None:
        """A request is over."""
        ...

    def connected(self, transport: str) -> None:
        """A connection was made."""
        ...

    def disconnected(self, transport: str) -> None:
        """It is no more."""
        ...


class Observers:
    """Several as one, which can all fail without harm."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = tuple(observers)
        self._blamed: set[int] = set()
        """Which of them have been logged."""

    def committed(self, landed: Landed) -> None:
        for at, each in enumerate(self._observers):
            self._tell(at, each.committed, landed)

    def store_called(self, kind: str, took_us: int, error: str | None) -> None:
        for at, each in enumerate(self._observers):
            self._tell(at, each.store_called, kind, took_us, error)

    def role_changed(self, role: str, epoch: int) -> None:
        for at, each in enumerate(self._observers):
            self._tell(at, each.role_changed, role, epoch)

    def answered(self, answered: Answered) -> None:
        for at, each in enumerate(self._observers):
            self._tell(at, each.answered, answered)

    def connected(self, transport: str) -> None:
        for at, each in enumerate(self._observers):
            self._tell(at, each.connected, transport)

    def disconnected(self, transport: str) -> None:
        for at, each in enumerate(self._observers):
            self._tell(at, each.disconnected, transport)

    def _tell(self, at: int, method: Callable[..., None], *what: Any) -> None:
        try:
            method(*what)
        except Exception:
            if at not in self._blamed:
                self._blamed.add(at)
                name = type(self._observers[at]).__name__
                logger.exception("the observer %s fails, which is told only once", name)
