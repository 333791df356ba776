"""Ways to a broker: one method each, behind one protocol."""

from __future__ import annotations

from osqueue.client.transports.protocol import Answer, Position, Transport
from osqueue.client.transports.rest import RestTransport

__all__ = ["Answer", "Position", "RestTransport", "Transport"]
