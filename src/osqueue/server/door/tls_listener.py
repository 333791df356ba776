"""Takes connections in, and hands each to its protocol when its handshake of TLS is over.

Laws: a handshake counts as a connection, to the limit on all and to the one on each host, and ends
in time; so whoever only begins handshakes takes neither files nor memory from others. None outlives
the listener, whenever that is closed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

from osqueue.config import ServerSettings
from osqueue.server.door.hosts import HostConnections
from osqueue.server.door.tls import ServerTls

__all__ = ["TlsListener"]

logger = logging.getLogger("osqueue.server")

PAUSE_S: Final = 1
"""How long nobody is taken in when the system gives no more files."""

AT_ONCE: Final = 100
"""Connections taken in before others are served again."""


class TlsListener:
    """Serves a listening socket until it is closed. ``connections``: how many have got in."""

    def __init__(
        self,
        sock: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        *,
        tls: ServerTls,
        settings: ServerSettings,
        connections: Callable[[], int],
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._make_protocol = make_protocol
        self._tls = tls
        self._most = settings.connections_max
        self._hosts = HostConnections(settings.connections_per_host)
        self._connections = connections
        self._shaking: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._listen()

    async def close(self) -> None:
        """Take nobody in any more, and hang up on who has not got in."""
        self._loop.remove_reader(self._sock)
        if self._pause is not None:
            self._pause.cancel()
        await asyncio.sleep(0)  # a task that is cancelled before it begins would close nothing
        for task in self._shaking:
            task.cancel()
        await asyncio.gather(*self._shaking, return_exceptions=True)

    def _listen(self) -> None:
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        # Not loop.sock_accept: cancelled at the wrong moment, it loses who has just come.
        try:
            for _ in range(AT_ONCE):
                sock, address = self._sock.accept()
                sock.setblocking(False)
                self._take(sock, address[0])
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            logger.error("no connection can be taken in: %s", error.strerror or error)  # noqa: TRY400 - all is said
            self._loop.remove_reader(self._sock)
            self._pause = self._loop.call_later(PAUSE_S, self._listen)

    def _take(self, sock: socket.socket, host: str) -> None:
        alone_too_many = not self._hosts.enter(host)
        if alone_too_many or len(self._shaking) + self._connections() >= self._most:
            self._hosts.leave(host)
            sock.close()  # nothing can be said before the handshake
            return
        task = self._loop.create_task(self._shake(sock, host), name="osqueue handshake")
        self._shaking.add(task)
        task.add_done_callback(self._shaking.discard)

    async def _shake(self, sock: socket.socket, host: str) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._make_protocol,
                sock,
                ssl=self._tls.context,
                ssl_handshake_timeout=self._tls.handshake_s_max,
            )
        except OSError as error:
            logger.debug("a handshake of %s failed: %s", host, error)
        finally:
            self._hosts.leave(host)
