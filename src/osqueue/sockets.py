"""What both ends of a connection ask of the system: to find out whether the other one is there."""

from __future__ import annotations

import socket
from types import MappingProxyType
from typing import Final

__all__ = ["ask_the_silent"]

_SILENCE: Final = MappingProxyType(
    {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2, "TCP_USER_TIMEOUT": 60_000}
)
"""A host that is gone without a word is noticed after 30 s (in seconds: first asked after, again
every, how often), and after 60 s (in ms) when something is being sent to it: nobody else ends the
streams and the waiting claims of a half-open connection."""


def ask_the_silent(sock: socket.socket) -> None:
    """Have the system ask the other end of a silent connection whether it is there, and break the
    connection when it is not. What a listening socket accepts takes it over.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SILENCE.items():
        option = getattr(socket, name, None)  # not every system knows all
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
