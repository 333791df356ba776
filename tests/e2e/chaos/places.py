"""Where the queue of a run lives, and how one broker is cut from it or all of them are.

On ``file://`` the brokers themselves are told (`entry`); on Ceph each broker reaches its gateway,
one of two, through a proxy of its own.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

from tests.e2e.chaos.brokers import Broker
from tests.e2e.chaos.waiting import until
from tests.integration.servers.ceph import Ceph

from osqueue.storage import Store, open_store
from osqueue.testing import FaultProxy, HttpFault, HttpScript, HttpStep

__all__ = ["CephPlace", "FilePlace", "Place"]

HELD_S_MAX = 1.0
"""By then a busy leader has begun a write."""


class Place(Protocol):
    """A store that can be hurt."""

    @property
    def urls(self) -> Sequence[str]:
        """The storage of each broker."""
        ...

    client_url: str
    """The storage as clients know it."""
    store: Store
    """The same, seen directly."""
    inside: bool
    """Whether faults of the store are injected inside the brokers."""

    async def cut(self, broker: Broker, *, hang: bool) -> None: ...

    async def heal(self, broker: Broker) -> None: ...

    async def hold_write(self, broker: Broker) -> bool:
        """Hold the broker's next write of the state; whether one was caught."""
        ...

    async def land(self, broker: Broker) -> None:
        """Let held writes go on, if they don't by themselves."""
        ...

    def late_writes(self, brokers: Sequence[Broker]) -> int:
        """Held writes that have reached the store by now, with whatever success."""
        ...

    def locked(self) -> bool:
        """Whether somebody holds the store's lock."""
        ...


class FilePlace:
    """A directory."""

    inside = True

    def __init__(self, path: Path, brokers: int) -> None:
        path.mkdir()
        self.urls: Sequence[str] = [f"file://{path}"] * brokers
        self.client_url = self.urls[0]
        self.store = open_store(self.client_url)
        self._path = path

    async def cut(self, broker: Broker, *, hang: bool) -> None:
        broker.tell("store hang" if hang else "store refuse")

    async def heal(self, broker: Broker) -> None:
        broker.tell("store up")

    async def hold_write(self, broker: Broker) -> bool:
        since = broker.log.stat().st_size
        broker.tell("late")
        return await broker.logged("a write is held", since=since, timeout_s=HELD_S_MAX)

    async def land(self, broker: Broker) -> None:
        """They do when their process runs again."""

    def late_writes(self, brokers: Sequence[Broker]) -> int:
        return sum(broker.said().count('"a late write ') for broker in brokers)

    def locked(self) -> bool:
        directory = os.open(self._path, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(directory)
        return False


class CephPlace:
    """A bucket behind two gateways; inside its context the proxies stand."""

    inside = False

    def __init__(self, ceph: Ceph, brokers: int) -> None:
        gateways = ceph.new_stores()
        self._ports = [ceph.gateway_ports[number % 2] for number in range(brokers)]
        self._direct = [gateways[number % 2] for number in range(brokers)]
        self._proxies = {
            f"b{number}": FaultProxy(f"http://127.0.0.1:{port}")
            for number, port in enumerate(self._ports)
        }
        self.urls: Sequence[str] = ()
        self.client_url = gateways[1]
        self.store = open_store(gateways[0])

    @asynccontextmanager
    async def proxied(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for proxy in self._proxies.values():
                await stack.enter_async_context(proxy)
            self.urls = [
                direct.replace(f"http://127.0.0.1:{port}", proxy.url)
                for direct, port, proxy in zip(
                    self._direct, self._ports, self._proxies.values(), strict=True
                )
            ]
            yield

    async def cut(self, broker: Broker, *, hang: bool) -> None:
        self._proxies[broker.name].down(hang=hang)

    async def heal(self, broker: Broker) -> None:
        await self._proxies[broker.name].up()

    async def hold_write(self, broker: Broker) -> bool:
        proxy = self._proxies[broker.name]
        step = HttpStep(fault=HttpFault.LATE_WRITE, method="PUT", path="queue.json")
        proxy.faults = HttpScript([step])
        await until(lambda: proxy.late, timeout_s=HELD_S_MAX)
        proxy.faults = HttpScript()
        return proxy.late > 0

    async def land(self, broker: Broker) -> None:
        await self._proxies[broker.name].land()

    def late_writes(self, brokers: Sequence[Broker]) -> int:
        logs = [self._proxies[broker.name].log for broker in brokers]
        return sum(entry.late for log in logs for entry in log)

    def locked(self) -> bool:
        return False
