"""Ways to a broker: one method each, behind one protocol.

Each way is a module of its own, which is loaded when it is first used (`kinds`).
"""

from __future__ import annotations

from osqueue.client.transports.kinds import KINDS, TransportSpec
from osqueue.client.transports.protocol import (
    Answer,
    Position,
    QueueTransportAdapter,
    StreamingTransportAdapter,
)

__all__ = [
    "KINDS",
    "Answer",
    "Position",
    "QueueTransportAdapter",
    "StreamingTransportAdapter",
    "TransportSpec",
]
