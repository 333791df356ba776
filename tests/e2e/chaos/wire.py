"""A TCP proxy on loopback that a broker is dialled through, on all its ports, and that can be cut.

It stands at an address of its own and listens on the broker's port numbers there: a broker names
its gRPC port by number, at the address that it advertises.

Two kinds of cut, both of open connections as well as of new ones: *refusing* (the listener is gone
and open connections are reset, as when a machine is) and *silent* (nothing passes in either
direction, as when a cable is pulled). What was on its way in a silent cut arrives when it heals,
as TCP does it: late requests and late answers.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final, cast

from tests.integration.servers.process import HOST

__all__ = ["HOST", "TcpProxy"]

FRONT: Final = "127.0.0.2"
"""Where proxies listen; brokers do on `HOST`."""


class TcpProxy:
    """Stands in front of ports. As long as nobody is known to listen there, it refuses, too."""

    def __init__(self, *ports: int) -> None:
        self.ports = ports
        self.silent = False
        self.sides: set[_Side] = set()
        self._refusing = False
        self._listened = False
        self._servers: list[asyncio.Server] = []
        self._settling = asyncio.Lock()

    @property
    def address(self) -> str:
        """Where the first port is dialled."""
        return f"{FRONT}:{self.ports[0]}"

    async def upstream(self, *, listens: bool) -> None:
        """Whether there is somebody behind it."""
        self._listened = listens
        await self._settle()

    async def cut(self, *, silent: bool) -> None:
        self.silent, self._refusing = silent, not silent
        await self._settle()

    async def heal(self) -> None:
        """What a silent cut held back goes on its way."""
        self.silent = self._refusing = False
        await self._settle()

    async def stop(self) -> None:
        await self.cut(silent=False)

    async def _settle(self) -> None:
        async with self._settling:
            if not (self.silent or (self._listened and not self._refusing)):
                self._close()
            elif not self._servers:
                loop = asyncio.get_running_loop()
                for port in self.ports:
                    near = partial(_Near, self, port)
                    self._servers.append(await loop.create_server(near, FRONT, port))
        for side in list(self.sides):
            side.update()

    def _close(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        for side in list(self.sides):
            side.abort()


class _Side(asyncio.Protocol):
    """One end of a connection, not read from while the other end is full or not there."""

    def __init__(self, proxy: TcpProxy) -> None:
        self._proxy = proxy
        self._transport: asyncio.Transport | None = None
        self._reading = True
        self._other_full = False
        self._early: list[bytes] = []
        """Read before it could be paused: some loops begin to read right after they connect."""
        self.other: _Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._proxy.sides.add(self)
        self.update()

    def data_received(self, data: bytes) -> None:
        if self._proxy.silent or self.other is None:
            self._early.append(data)
        else:
            self.other.write(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._proxy.sides.discard(self)
        self._transport = None
        if self.other is not None:
            self.other.close()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.set_other_full(full=True)

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.set_other_full(full=False)

    def set_other_full(self, *, full: bool) -> None:
        self._other_full = full
        self.update()

    def update(self) -> None:
        """Read or don't, as things are now."""
        wanted = not (self._proxy.silent or self._other_full or self.other is None)
        if not self._proxy.silent and self.other is not None:
            self.other.write(b"".join(self._early))
            self._early.clear()
        if self._transport is None or wanted == self._reading:
            return
        self._reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class _Near(_Side):
    """The client's end; it dials the broker when it may."""

    def __init__(self, proxy: TcpProxy, port: int) -> None:
        super().__init__(proxy)
        self._port = port
        self._dialling: asyncio.Task[None] | None = None

    def update(self) -> None:
        free = self.other is None and self._dialling is None and not self._proxy.silent
        if free and self._transport is not None:
            self._dialling = asyncio.create_task(self._dial(), name="chaos-dial")
        super().update()

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        far = _Side(self._proxy)
        far.other = self
        try:
            await loop.create_connection(lambda: far, HOST, self._port)
        except OSError:
            self.abort()
            return
        self.other = far
        if self._transport is None:
            far.close()
        self.update()
