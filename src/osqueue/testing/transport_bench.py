"""Where the checks of a transport are made: real brokers, and calls to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from osqueue.client.transports.protocol import QueueTransportAdapter
from osqueue.config import BrokerSettings, ClientSettings
from osqueue.storage.memory import MemoryBackend
from osqueue.testing.transport_expectations import Calls

if TYPE_CHECKING:  # it needs the packages of a broker
    from osqueue.app import BrokerServer
    from osqueue.storage.protocol import Store

__all__ = ["TransportBench"]


class TransportBench:
    """What the contracts of transports have in common. Give it `make_transport`."""

    def make_transport(
        self, broker: BrokerServer, settings: ClientSettings
    ) -> QueueTransportAdapter:
        """A new transport to ``broker``, which may have been stopped. Nothing is called yet."""
        raise NotImplementedError

    def make_broker(self, store: Store, settings: BrokerSettings) -> BrokerServer:
        """A broker on a free port of this machine, not started yet."""
        from osqueue.app import BrokerServer  # noqa: PLC0415 - not loaded with this package

        return BrokerServer(store, host="127.0.0.1", port=0, grpc_port=None, settings=settings)

    @asynccontextmanager
    async def calls(
        self, store: Store | None = None, settings: BrokerSettings | None = None
    ) -> AsyncIterator[Calls]:
        """A broker, and calls to it."""
        broker = self.make_broker(store or MemoryBackend(), settings or BrokerSettings())
        async with broker, self.calls_to(broker) as calls:
            yield calls

    @asynccontextmanager
    async def calls_to(self, broker: BrokerServer) -> AsyncIterator[Calls]:
        """Calls to a broker that is already there."""
        transport = self.make_transport(broker, ClientSettings())
        try:
            yield Calls(transport, broker)
        finally:
            await transport.close()
