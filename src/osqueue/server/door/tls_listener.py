"""Takes connections in, and hands each to its protocol when its handshake of TLS is over.

Laws: a handshake counts as a connection, to the limit on all and to the one on each host, and ends
in time; so whoever only begins handshakes takes neither files nor memory from others.
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
        self._accepting = self._loop.create_task(self._accept(), name="osqueue tls")

    def close(self) -> None:
        """Take nobody in any more, and give up who has not got in. Harmless at any time."""
        for task in (self._accepting, *self._shaking):
            task.cancel()

    async def _accept(self) -> None:
        while True:
            try:
                sock, address = await self._loop.sock_accept(self._sock)
            except OSError as error:
                logger.error("no connection can be taken in: %s", error.strerror or error)  # noqa: TRY400 - all is said
                await asyncio.sleep(PAUSE_S)
                continue
            self._take(sock, address[0])

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
