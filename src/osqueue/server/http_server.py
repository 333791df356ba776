"""uvicorn inside this process: on a socket of ours, without its own signals and logs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from osqueue.config import ServerSettings
from osqueue.errors import ConfigError

__all__ = ["HttpServer", "bind"]

BACKLOG = 4_096
"""Connections that may wait to be accepted: bursts of workers reconnecting."""

GRACE_S = 5
"""How long a stopping server waits for answers still being sent."""


def bind(settings: ServerSettings) -> socket.socket:
    """A listening place. Raises `ConfigError` when the address cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named as TCP, so that asyncio turns Nagle's delay off: an answer is sent in two pieces.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((settings.host, settings.port))
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; "
            "is another broker running there? choose another port with --port"
        ) from error
    return sock


class _Uvicorn(uvicorn.Server):
    """Leaves signals to the program, and tells when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serving.set()


class HttpServer:
    """Serves an application on a bound socket."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, sock: socket.socket) -> None:
        self._sock = sock
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            limit_concurrency=settings.connections_max,
            timeout_keep_alive=settings.keep_alive_s,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server = _Uvicorn(config)
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
            self._server.should_exit = True
            await self._task
            self._task = None
        self._sock.close()
