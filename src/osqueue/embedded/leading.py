"""Leading a queue without listening anywhere: its core, and a client in the same loop.

The state object names the leader by an address that nobody can dial (`osqueue.wire.leaders`), so a
broker that stands by judges it by its heartbeats alone. As none of them can say that it is there,
the heartbeats never slow down.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec.structs import replace

from osqueue.broker.probe import probe_leader
from osqueue.client.client import OsqueueClient
from osqueue.clock import SystemClock, SystemEntropy
from osqueue.config import BrokerSettings, ClientSettings
from osqueue.core import QueueCore
from osqueue.engine.engine import Engine
from osqueue.engine.observer import Observers
from osqueue.engine.requests import End
from osqueue.errors import BrokerLeadershipError
from osqueue.storage.protocol import Store
from osqueue.storage.urls import open_store
from osqueue.wire.leaders import called, embedded_address

__all__ = ["LedQueue", "open_leading"]


class LedQueue:
    """A queue that this process leads. ``client`` talks to it like to a broker's."""

    def __init__(self, client: OsqueueClient, engine: Engine) -> None:
        self.client = client
        self._engine = engine

    @property
    def end(self) -> End | None:
        """Why this process neither leads nor stands by any more; ``None`` while it does."""
        return self._engine.end


@asynccontextmanager
async def open_leading(
    storage: str | Store,
    *,
    settings: BrokerSettings | None = None,
    client_settings: ClientSettings | None = None,
    wait: bool = False,
) -> AsyncIterator[LedQueue]:
    """Lead the queue in ``storage``, a URL or a `Store`, which is not closed then.

    With ``wait``, stands by for as long as another leads; otherwise such a one is raised as
    `BrokerLeadershipError`, which names it. A leader that is dead is waited for in either case, as
    long as a standby would. Raises `CorruptStateError`, `UnsupportedStoreError`, `ConfigError` and
    the store's errors. At the end what is pending is committed, and leadership is given back.
    """
    settings = _unwatched(settings or BrokerSettings())
    settings.validate()
    async with AsyncExitStack() as stack:
        store = storage
        if isinstance(store, str):
            store = open_store(store)
            stack.push_async_callback(store.close)
        core = QueueCore(
            store,
            address=embedded_address(socket.gethostname(), os.getpid()),
            settings=settings,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            probe=probe_leader,
            observers=Observers(),
        )
        stack.push_async_callback(core.stop)  # also of one that is still taking the place
        await core.start(probe=False)
        leader = await core.engine.settle(waits=wait)
        if leader is not None:
            raise _led_by(leader, store)
        client = OsqueueClient(transport=core.transport(), settings=client_settings)
        yield LedQueue(await stack.enter_async_context(client), core.engine)


def _unwatched(settings: BrokerSettings) -> BrokerSettings:
    """Heartbeats never slow down: those who stand by can tell nobody of it."""
    leadership = settings.leadership
    beat = replace(leadership, idle_interval_ms=leadership.heartbeat_interval_ms)
    return replace(settings, leadership=beat)


def _led_by(leader: str, store: Store) -> BrokerLeadershipError:
    return BrokerLeadershipError(
        f"{store.url} is led by {called(leader)}: use the queue there, stop it there, or stand by "
        "for it (wait=True)",
        leader=leader,
    )
