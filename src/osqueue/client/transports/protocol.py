"""What a client asks of a transport: carry one request to a broker and bring its answer back.

A transport knows no meaning: it does not try again, does not compare answers and makes no ids.
The client does, once, for all transports.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from osqueue.wire.operations import Operation

__all__ = ["Answer", "Position", "Transport"]


class Position(msgspec.Struct, frozen=True, order=True):
    """The commit that an answer has seen. A later commit is a greater position."""

    epoch: int
    number: int


class Answer(msgspec.Struct, frozen=True):
    """The decoded answer of an operation, and how recent it is, if the broker said so."""

    value: Any
    position: Position | None = None


class Transport(Protocol):
    """A way to one broker.

    `call` raises the broker's error as the class that the broker raised, or
    `TransportConnectionError` when no answer came, `TransportRequestError` when the answer makes
    no sense, `TransportConfigError` when it can never work, such as for an operation that it lacks.
    Its ``applied`` is ``"no"`` when the request surely was not received. Cancelling a call gives up
    its connection, so that the broker learns of it.
    """

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        """Carry one request; ``value`` is an ``operation.answer``, or ``None`` if that is."""
        ...

    async def reconnect(self) -> None:
        """Drop the connections; the next call makes new ones. Calls under way may break."""
        ...

    async def close(self) -> None:
        """Drop the connections for good. A second close does nothing."""
        ...
