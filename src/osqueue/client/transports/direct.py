"""Direct: calls to a broker in this process and event loop, without a socket.

A broker is still known by its URL, so redirects and failover are what they are everywhere.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, Protocol

import msgspec

from osqueue.client.addresses import endpoint
from osqueue.client.credentials import Credentials
from osqueue.client.transports.kinds import Dialler
from osqueue.client.transports.lifetime import Lifetime
from osqueue.client.transports.protocol import Answer, QueueTransportAdapter, streaming
from osqueue.config import ClientSettings
from osqueue.errors import TransportConfigError, TransportConnectionError
from osqueue.wire.operations import Operation

__all__ = ["DirectTransport", "InProcessBroker", "dialler"]


class InProcessBroker(Protocol):
    """What is asked of a broker here; `osqueue.BrokerServer` has it all."""

    @property
    def url(self) -> str:
        """Where it listens; ``address`` with its scheme."""
        ...

    @property
    def address(self) -> str:
        """``host:port``; empty before it has been started."""
        ...

    def in_process(self) -> QueueTransportAdapter:
        """The way to it. Raises `TransportConnectionError` while it is not running."""
        ...


def dialler(
    options: Mapping[str, Any], settings: ClientSettings, credentials: Credentials
) -> Dialler:
    """How transports of this kind are made. The option ``brokers`` is one, or a list of them."""
    del settings, credentials  # there is nothing to connect, and nobody to show a token to
    brokers = _brokers(dict(options))
    urls = tuple([broker.url for broker in brokers if broker.address])
    return Dialler(partial(DirectTransport, brokers=brokers), urls=urls)


class DirectTransport:
    """Calls to the one among ``brokers`` that listens at ``base_url``."""

    def __init__(self, base_url: str, brokers: Iterable[InProcessBroker]) -> None:
        self._base = base_url
        self._brokers = tuple(brokers)
        self._lifetime = Lifetime()

    async def call(
        self,
        operation: Operation,
        request: msgspec.Struct | None = None,
        *,
        job_id: str | None = None,
        timeout_s: float,
    ) -> Answer:
        return await self._way().call(operation, request, job_id=job_id, timeout_s=timeout_s)

    async def stream(
        self, operation: Operation, request: msgspec.Struct, *, timeout_s: float
    ) -> AsyncGenerator[Any, None]:
        pushed = streaming(self._way()).stream(operation, request, timeout_s=timeout_s)
        async with aclosing(pushed) as messages:
            async for message in messages:
                yield message

    async def reconnect(self) -> None:
        self._lifetime.forget()

    async def close(self) -> None:
        self._lifetime.close()

    def _way(self) -> QueueTransportAdapter:
        self._lifetime.use()
        place = endpoint(self._base)
        for broker in self._brokers:
            if broker.address and endpoint(broker.url) == place:
                return broker.in_process()
        error = TransportConnectionError(f"no broker of this process listens at {self._base}")
        error.applied = "no"
        raise error


def _brokers(options: dict[str, Any]) -> tuple[InProcessBroker, ...]:
    given = options.pop("brokers", None)
    if options:
        raise TransportConfigError(
            f"the transport 'direct' has no option {min(options)!r}: it has brokers"
        )
    brokers = tuple(given) if isinstance(given, Iterable) else (given,)
    if not brokers or not all(hasattr(each, "in_process") for each in brokers):
        raise TransportConfigError(
            "the transport 'direct' is for brokers of this process: "
            '{"kind": "direct", "brokers": …}, a BrokerServer or a list of them'
        )
    return brokers
