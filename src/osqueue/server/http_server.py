"""uvicorn inside this process: on a socket of ours, without its own signals and logs."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from osqueue.config import ServerSettings
from osqueue.errors import ConfigError
from osqueue.server.connection import HttpProtocol
from osqueue.server.door.hosts import HostConnections
from osqueue.server.door.security_headers import EVERYWHERE
from osqueue.server.door.tls import ServerTls
from osqueue.server.door.tls_listener import TlsListener
from osqueue.server.telemetry.observing import Observed
from osqueue.server.websocket.protocol import WebSocket, WebSocketEndpoint
from osqueue.sockets import ask_the_silent

__all__ = ["HttpServer", "bind"]

BACKLOG = 4_096
"""Connections that may wait to be accepted: bursts of workers reconnecting."""

GRACE_S = 5
"""How long a stopping server waits for answers still being sent."""

ABORTED_S = 0.2
"""How long it then takes those who are told that their connection is lost."""

POLL_S = 0.005
"""How often a stopping server looks whether all is answered."""

TICK_S = 0.1
LOOK_TICKS = 10
"""The connections are looked after once a second."""


def bind(
    settings: ServerSettings, *, port: int | None = None, option: str = "--port"
) -> socket.socket:
    """A listening place, on the settings' port unless another is said, by ``option``.

    Raises `ConfigError` when the address cannot be had.
    """
    port = settings.port if port is None else port
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named as TCP, so that asyncio turns Nagle's delay off: an answer is sent in two pieces.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ask_the_silent(sock)
        sock.bind((settings.host, port))
        sock.listen(BACKLOG)  # two sockets can be bound to one port while neither listens
    except OSError as error:
        sock.close()
        taken = f"; is another broker running there? choose another port with {option}"
        raise ConfigError(
            f"cannot listen on {settings.host}:{port}: {error.strerror or error}"
            + (taken if error.errno == errno.EADDRINUSE else "")
        ) from error
    return sock


class _Uvicorn(uvicorn.Server):
    """Leaves signals to the program, and tells when it serves."""

    def __init__(
        self, config: uvicorn.Config, settings: ServerSettings, tls: ServerTls | None
    ) -> None:
        super().__init__(config)
        self._settings = settings
        self._tls = tls
        self.listeners: list[asyncio.Server | TlsListener] = []
        self.serving = asyncio.Event()
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """Begin to shut down."""
        self.should_exit = True
        self._leaving.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's own, but for TLS, where what has not got in yet is bounded as well."""
        await self.lifespan.startup()
        self.listeners = [await self._listen(sock) for sock in sockets or ()]
        self.started = True
        self.serving.set()

    async def _listen(self, sock: socket.socket) -> asyncio.Server | TlsListener:
        if self._tls is None:
            loop = asyncio.get_running_loop()
            return await loop.create_server(self._protocol, sock=sock, backlog=BACKLOG)
        connections = self.server_state.connections
        return TlsListener(
            sock,
            self._protocol,
            tls=self._tls,
            settings=self._settings,
            connections=lambda: len(connections),
        )

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    async def main_loop(self) -> None:
        """Ticks as uvicorn's own does, but does not sleep on when it is time to leave."""
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._leaving.wait()

    async def on_tick(self, counter: int) -> bool:
        if counter % LOOK_TICKS == 0:
            now_s = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, HttpProtocol | WebSocket):
                    connection.look_after(now_s)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what is under way be answered; uvicorn's own leaves the rest running."""
        del sockets
        for listener in self.listeners:
            if isinstance(listener, TlsListener):
                await listener.close()
            else:
                listener.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await self._all_answered()
        await self._break_off()

    async def _all_answered(self) -> None:
        told: set[Any] = set()
        while True:
            for connection in self.server_state.connections - told:
                told.add(connection)
                connection.shutdown()
            await asyncio.sleep(POLL_S)  # uvicorn tells nobody; who was just accepted gets in
            if not (self.server_state.connections or self.server_state.tasks):
                return

    async def _break_off(self) -> None:
        """Hang up, which ends who waits for his client; cancel what does not end by that."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        tasks = set(self.server_state.tasks)
        if tasks:
            _, tasks = await asyncio.wait(tasks, timeout=ABORTED_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class HttpServer:
    """Serves an application on a bound socket."""

    def __init__(
        self,
        app: ASGIApp,
        settings: ServerSettings,
        sock: socket.socket,
        *,
        tls: ServerTls | None = None,
        observed: Observed | None = None,
        websockets: WebSocketEndpoint | None = None,
    ) -> None:
        self._sock = sock
        hosts = HostConnections(settings.connections_per_host, observed)
        config = uvicorn.Config(
            app,
            # uvicorn only ever calls what it is given here
            http=cast("type[asyncio.Protocol]", partial(HttpProtocol, settings, hosts)),
            ws="none" if websockets is None else cast("type[asyncio.Protocol]", websockets),
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=settings.keep_alive_s,
            headers=[
                ("vary", "Origin"),
                ("access-control-expose-headers", "Connect-Protocol-Version"),
                ("keep-alive", f"timeout={settings.keep_alive_s}"),
                *EVERYWHERE,
            ],
        )
        self._server = _Uvicorn(config, settings, tls)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns once connections are accepted."""
        serve = self._server.serve(sockets=[self._sock])
        self._task = asyncio.get_running_loop().create_task(serve, name="osqueue http")
        serving = asyncio.ensure_future(self._server.serving.wait())
        await asyncio.wait({self._task, serving}, return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        if self._task.done():
            await self._task

    async def stop(self) -> None:
        """Answer what is under way, then close all connections."""
        if self._task is not None:
            self._server.leave()
            await self._task
            self._task = None
        self._sock.close()
