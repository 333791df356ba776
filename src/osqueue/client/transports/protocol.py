"""What a client asks of a transport: carry one request to a broker and bring its answer back.

A transport knows no meaning: it does not try again, does not compare answers and makes no ids.
The client does, once, for all transports.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol, TypeGuard

import msgspec

from osqueue.errors import TransportConfigError
from osqueue.wire.operations import Operation

__all__ = ["Answer", "Position", "QueueTransportAdapter", "StreamingTransportAdapter", "streaming"]


class Position(msgspec.Struct, frozen=True, order=True):
    """The commit that an answer has seen. A later commit is a greater position."""

    epoch: int
    number: int


class Answer(msgspec.Struct, frozen=True):
    """The decoded answer of an operation, and how recent it is, if the broker said so."""

    value: Any
    position: Position | None = None


class QueueTransportAdapter(Protocol):
    """A way to one broker. One that brings streams is a `StreamingTransportAdapter`.

    `call` raises the broker's error as the class that the broker raised, or
    `TransportConnectionError` when no answer came, `TransportRequestError` when the answer makes
    no sense, `TransportConfigError` when it can never work, such as for an operation that it lacks.
    Its ``applied`` is ``"no"`` when the request surely was not received. Cancelling a call gives it
    up, so that the broker learns of it.

    `osqueue.testing.TransportContract` holds a transport to all this.
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


class StreamingTransportAdapter(QueueTransportAdapter, Protocol):
    """A transport by which a broker can push."""

    def stream(
        self, operation: Operation, request: msgspec.Struct, *, timeout_s: float
    ) -> AsyncGenerator[Any, None]:
        """What the broker pushes, each an ``operation.answer``; raises the errors of `call`.

        It begins when it is first asked for the next, and is given up by its ``aclose``. It ends
        only by an error, or when the broker has nothing more to push. ``timeout_s``: how long the
        broker may take to be reached.
        """
        ...


def streaming(adapter: QueueTransportAdapter) -> StreamingTransportAdapter:
    """The same transport, if streams can come by it. Raises `TransportConfigError`."""
    if not _streams(adapter):
        raise TransportConfigError(
            f"{type(adapter).__name__} brings no streams: use the transport connect, grpc, ws or "
            "direct"
        )
    return adapter


def _streams(adapter: QueueTransportAdapter) -> TypeGuard[StreamingTransportAdapter]:
    return hasattr(adapter, "stream")
