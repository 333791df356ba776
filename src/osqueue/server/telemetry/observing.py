"""How a transport tells of its requests: one line around whatever answers one.

::

    with observed.request("submitJob", received=len(frame)) as seen:
        seen.principal = principal.name
        …                       # an error that leaves the block is the outcome
        seen.failed(error)      # and so is one that is answered inside

It costs about a microsecond, so it is always there; only with an access log are the bytes counted.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from osqueue.clock import precise_us
from osqueue.engine.callers import CallerGoneError
from osqueue.engine.observer import OK, Answered, Observer, Observers
from osqueue.errors import OsqueueError, error_tag

__all__ = ["GONE", "Observed", "SeenRequest"]

GONE: Final = "gone"
"""The outcome of a request whose caller did not wait for the answer."""


class Observed:
    """The requests and connections of one transport, told to ``observer``.

    ``detailed``: somebody wants to know the bytes of each, too.
    """

    __slots__ = ("_ticks", "detailed", "observer", "transport")

    def __init__(
        self,
        transport: str,
        observer: Observer | None = None,
        *,
        detailed: bool = False,
        ticks: Callable[[], int] = precise_us,
    ) -> None:
        self.transport = transport
        self.observer = observer or Observers()
        self.detailed = detailed
        self._ticks = ticks

    def over(self, transport: str) -> Observed:
        """The same for another transport."""
        return Observed(transport, self.observer, detailed=self.detailed, ticks=self._ticks)

    def request(self, operation: str = "", *, received: int = 0) -> SeenRequest:
        """A request that has just come in; to be entered at once, and left when it is answered."""
        seen = SeenRequest(self, operation, self._ticks())
        if received:
            seen.received = received
        return seen

    def answered(self, seen: SeenRequest) -> None:
        """It is over."""
        self.observer.answered(
            Answered(
                seen.operation,
                self.transport,
                seen.outcome,
                self._ticks() - seen.began,
                seen.status,
                seen.received,
                seen.sent,
                seen.principal,
                seen.peer,
            )
        )

    def connected(self) -> None:
        """A connection was made."""
        self.observer.connected(self.transport)

    def disconnected(self) -> None:
        """It is no more."""
        self.observer.disconnected(self.transport)


class SeenRequest:
    """One request, and what is known of it so far; see `osqueue.engine.observer.Answered`."""

    outcome = OK
    status = 0
    received = 0
    sent = 0
    principal = ""
    peer = ""

    def __init__(self, by: Observed, operation: str, began: int) -> None:
        self._by = by
        self.operation = operation
        self.began = began

    def failed(self, error: BaseException) -> None:
        """It is answered with an error, or nobody is there to be answered. The first one counts."""
        if self.outcome != OK:
            return
        match error:
            case OsqueueError():
                self.outcome = error_tag(error)
            case CallerGoneError() | CancelledError():
                self.outcome = GONE
            case _:
                self.outcome = "OsqueueError"

    def over(self) -> None:
        """It has been answered, for those who cannot put a block around it."""
        self._by.answered(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self.failed(error)
        self.over()
