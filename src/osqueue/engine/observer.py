"""What a broker does, told as it happens to whoever measures it: metrics, traces, logs.

An observer is called on the loop, between two awaits, for every request: it must be quick, and must
not wait. Laws: what an observer does never changes what the broker does; one that raises is logged
once, and goes on being called; of a commit it hears only once that is durable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypeVar

import msgspec

from osqueue.engine.requests import Landed

__all__ = ["OK", "Answered", "Observer", "Observers", "unheard"]

logger = logging.getLogger("osqueue.observer")

MethodT = TypeVar("MethodT", bound=Callable[..., None])

_UNHEARD: Final = "__osqueue_unheard__"

OK: Final = "ok"
"""The outcome of a request that did what it asked for."""


class Answered(msgspec.Struct, frozen=True, gc=False):
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


def unheard(method: MethodT) -> MethodT:
    """Marks a method of an observer that has nothing to do: it is not called."""
    method.__dict__[_UNHEARD] = True
    return method


class Observers:
    """Several as one, which can all fail without harm."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = tuple(observers)
        self._committed = self._heard_by("committed")
        self._store_called = self._heard_by("store_called")
        self._role_changed = self._heard_by("role_changed")
        self._answered = self._heard_by("answered")
        self._connected = self._heard_by("connected")
        self._disconnected = self._heard_by("disconnected")
        self._blamed: set[int] = set()
        """Which of them have been logged."""

    def committed(self, landed: Landed) -> None:
        self._tell(self._committed, landed)

    def store_called(self, kind: str, took_us: int, error: str | None) -> None:
        self._tell(self._store_called, kind, took_us, error)

    def role_changed(self, role: str, epoch: int) -> None:
        self._tell(self._role_changed, role, epoch)

    def answered(self, answered: Answered) -> None:
        self._tell(self._answered, answered)

    def connected(self, transport: str) -> None:
        self._tell(self._connected, transport)

    def disconnected(self, transport: str) -> None:
        self._tell(self._disconnected, transport)

    def _heard_by(self, name: str) -> tuple[Callable[..., None], ...]:
        methods = [getattr(each, name) for each in self._observers]
        return tuple([each for each in methods if not getattr(each, _UNHEARD, False)])

    def _tell(self, methods: tuple[Callable[..., None], ...], *what: Any) -> None:
        for method in methods:
            try:
                method(*what)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is not the broker's
                self._blame(method, error)

    def _blame(self, method: Callable[..., None], error: Exception) -> None:
        """Log an observer that fails, once."""
        observer = getattr(method, "__self__", method)
        if id(observer) not in self._blamed:
            self._blamed.add(id(observer))
            name = type(observer).__name__
            message = "the observer %s fails, which is told only once"
            logger.error(message, name, exc_info=error)
