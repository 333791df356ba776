"""The upgrade of a connection to WebSocket (RFC 6455), without I/O.

A browser's page can set no header on it, so a token may come as a subprotocol, ``bearer.<token>``.
That is a secret: it is never echoed, and whoever offers it offers another one beside it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from websockets.utils import accept_key

from osqueue.errors import BrokerProtocolError

__all__ = ["PATH", "Upgrade", "accepting"]

PATH: Final = "/v1/ws"
"""Where WebSockets are opened."""

VERSION: Final = b"13"
_BEARER: Final = b"bearer."
_PROTOCOLS: Final = b"sec-websocket-protocol"


class Upgrade(NamedTuple):
    """A request for a WebSocket."""

    method: str
    path: str
    headers: Iterable[tuple[bytes, bytes]]

    @property
    def fields(self) -> Mapping[bytes, bytes]:
        """The headers by name, with a token that came as a subprotocol as any other token."""
        fields = dict(self.headers)
        token = next((each[7:] for each in self.subprotocols if each.startswith(_BEARER)), None)
        if token is not None:
            fields.setdefault(b"authorization", b"Bearer " + token)
        return fields

    @property
    def subprotocols(self) -> list[bytes]:
        """What the client offers, in its order."""
        lines = [value for name, value in self.headers if name == _PROTOCOLS]
        offered = [each.strip() for line in lines for each in line.split(b",")]
        return [each for each in offered if each]


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
        b"sec-websocket-accept: " + accept_key(_key(upgrade)).encode(),
    ]
    chosen = next((each for each in upgrade.subprotocols if not each.startswith(_BEARER)), None)
    if chosen is not None:
        lines.append(_PROTOCOLS + b": " + chosen)
    return b"\r\n".join([*lines, b"", b""])


def _key(upgrade: Upgrade) -> str:
    """The key of a valid request."""
    fields = dict(upgrade.headers)
    version = fields.get(b"sec-websocket-version")
    if version != VERSION:
        raise BrokerProtocolError("`sec-websocket-version`: must be 13", status=426)
    key = fields.get(b"sec-websocket-key", b"")
    try:
        valid = len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        valid = False
    if not valid:
        raise BrokerProtocolError("`sec-websocket-key`: must be 16 bytes in base64", status=400)
    return key.decode("ascii")
