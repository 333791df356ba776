"""The client of a command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from osqueue.cli.failures import require_broker, usage
from osqueue.cli.options import Broker
from osqueue.cli.ways import Way
from osqueue.client import OsqueueClient, TlsSettings
from osqueue.config import ClientSettings
from osqueue.errors import BrokerLeadershipError

if TYPE_CHECKING:  # it needs the packages of a broker
    from osqueue.brokerless import BrokerlessQueue

__all__ = ["attend", "connect"]

Guard: TypeAlias = Callable[[], Coroutine[Any, Any, NoReturn]]
"""Waits until there is no going on, and raises why."""


def connect(
    broker: Broker, settings: ClientSettings | None = None, *, create: bool = False
) -> AbstractAsyncContextManager[OsqueueClient]:
    """A client of these brokers; raises `CliError` naming what was given when that is wrong.

    Without a broker, a queue that is not there is begun only with ``create``.
    """
    if broker.brokerless:
        return _client_of(broker, settings, create=create)
    with usage(broker.origin):
        return OsqueueClient(
            broker.urls or None,
            storage=broker.storage,
            transport=broker.way.transport,
            token=broker.way.token,
            tls=_tls(broker.way),
            settings=settings,
        )


@asynccontextmanager
async def attend(broker: Broker) -> AsyncIterator[tuple[OsqueueClient, Guard]]:
    """A client for long, and what to watch meanwhile."""
    if not broker.brokerless:
        async with connect(broker) as client:
            yield client, _never
        return
    async with _join(broker, None, create=True) as queue:

        async def over() -> NoReturn:
            end = await queue.wait_ended()
            raise BrokerLeadershipError(end.message, leader=end.leader)

        yield queue.client, over


def _tls(way: Way) -> TlsSettings | None:
    if way.tls_ca or way.tls_cert or way.tls_key:
        return TlsSettings(ca=way.tls_ca, cert=way.tls_cert, key=way.tls_key)
    return None


async def _never() -> NoReturn:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody ends it")


@asynccontextmanager
async def _client_of(
    broker: Broker, settings: ClientSettings | None, *, create: bool
) -> AsyncIterator[OsqueueClient]:
    async with _join(broker, settings, create=create) as queue:
        yield queue.client


@asynccontextmanager
async def _join(
    broker: Broker, settings: ClientSettings | None, *, create: bool
) -> AsyncIterator[BrokerlessQueue]:
    require_broker("--brokerless")
    from osqueue.brokerless import open_brokerless  # noqa: PLC0415 - see above
    from osqueue.storage import open_store  # noqa: PLC0415 - the same

    with usage(broker.origin):
        store = open_store(broker.storage or "")
    try:
        async with open_brokerless(store, client_settings=settings, create=create) as queue:
            yield queue
    finally:
        await store.close()
