"""The upgrade of a connection to WebSocket (RFC 6455), without I/O.

A browser's page can set no header on it, so a token may come as a subprotocol, ``bearer.<token>``.
That is a secret: it is never echoed, and whoever offers it offers another one beside it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, MutableSet
from typing import Any, Final, NamedTuple

from websockets.utils import accept_key

from osqueue.errors import BrokerProtocolError
from osqueue.server.door.peers import Peer
from osqueue.server.http import Headers

__all__ = ["PATH", "Around", "Upgrade", "accepting"]

PATH: Final = "/v1/ws"
"""Where WebSockets are opened."""

_VERSION: Final = b"13"
_BEARER: Final = b"bearer."
_AUTHORIZATION: Final = b"authorization"
_PROTOCOLS: Final = b"sec-websocket-protocol"


class Upgrade(NamedTuple):
    """A request for a WebSocket. ``headers`` by lower-case names, those of one name joined."""

    method: str
    path: str
    headers: Headers
    peer: Peer

    @property
    def credentials(self) -> Headers:
        """The headers, with a token that came as a subprotocol where tokens stand."""
        tokens = [each[len(_BEARER) :] for each in self.subprotocols if each.startswith(_BEARER)]
        if not tokens or _AUTHORIZATION in self.headers:
            return self.headers
        return {**self.headers, _AUTHORIZATION: b"Bearer " + tokens[0]}

    @property
    def subprotocols(self) -> list[bytes]:
        """What the client offers, in its order."""
        offered = self.headers.get(_PROTOCOLS, b"").split(b",")
        return [name for each in offered if (name := each.strip())]


class Around(NamedTuple):
    """What a connection is part of."""

    connections: MutableSet[Any]
    """Those of the server."""
    tasks: set[asyncio.Task[None]]
    """What the server waits for before it ends."""
    on_lost: Callable[[], None]
    """To be called when the connection is lost."""


def accepting(upgrade: Upgrade) -> bytes:
    """The head of the answer that opens it. Raises `BrokerProtocolError`.

    The first subprotocol that is offered is taken, whatever it is; extensions are declined.
    """
    if upgrade.path != PATH or upgrade.method != "GET":
        message = f"Route {upgrade.method}:{upgrade.path} not found"
        raise BrokerProtocolError(f"{message}: WebSockets are opened by GET {PATH}", status=404)
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"upgrade: websocket",
        b"connection: Upgrade",
        b"sec-websocket-accept: " + accept_key(_key(upgrade.headers)).encode(),
    ]
    chosen = [each for each in upgrade.subprotocols if not each.startswith(_BEARER)]
    if chosen:
        lines.append(_PROTOCOLS + b": " + chosen[0])
    return b"\r\n".join([*lines, b"", b""])


def _key(headers: Headers) -> str:
    """The key of a valid request."""
    if headers.get(b"sec-websocket-version") != _VERSION:
        raise BrokerProtocolError("`sec-websocket-version`: must be 13", status=426)
    key = headers.get(b"sec-websocket-key", b"")
    try:
        raw = base64.b64decode(key, validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != 16:
        raise BrokerProtocolError("`sec-websocket-key`: must be 16 bytes in base64", status=400)
    return key.decode("ascii")
