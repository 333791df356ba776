"""One transport for each broker that is known, made when it is first asked."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from osqueue.client.transports.kinds import Dial
from osqueue.client.transports.protocol import QueueTransportAdapter
from osqueue.errors import TransportConfigError

__all__ = ["Connections"]


class Connections:
    """Transports by base URL, each made by ``dial``.

    There are never more than `at` was told to keep.
    """

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._transports: dict[str, QueueTransportAdapter] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    def __len__(self) -> int:
        """How many there are."""
        return len(self._transports) + len(self._closing)

    def at(self, url: str, *, keep: Collection[str]) -> QueueTransportAdapter:
        """The way to ``url``. A new one makes those go that are not in ``keep`` any more."""
        if self._closed:
            raise TransportConfigError("this client is closed; make a new one")
        transport = self._transports.get(url)
        if transport is None:
            self._drop_all_but(keep)
            transport = self._transports[url] = self._dial(url)
        return transport

    async def reconnect(self) -> None:
        """Drop the connections; the next calls make new ones."""
        for transport in list(self._transports.values()):
            await transport.reconnect()

    async def close(self) -> None:
        """Drop the connections for good."""
        self._closed = True
        for transport in list(self._transports.values()):
            await transport.close()
        if self._closing:
            await asyncio.wait(self._closing)

    def _drop_all_but(self, keep: Collection[str]) -> None:
        for url in [each for each in self._transports if each not in keep]:
            closing = self._transports.pop(url).close()
            task = asyncio.ensure_future(closing)
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
