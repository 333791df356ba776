"""The leader as a queue's object names it. Pure.

A broker is named by the ``host:port`` where it is dialled. A process that has embedded its queue
(`osqueue.embedded`) listens nowhere: it is named by an address of port 0, whose host no resolver
knows, so that whoever dials it all the same reaches nobody, and is refused by nobody.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["called", "embedded_address", "is_dialled"]

HOST_CHARS_MAX: Final = 200
"""Longest name of a host that is told: resolvers know none of more than 253."""

_EMBEDDED: Final = re.compile(r"(.+)\.pid-(\d+)\.embedded:0")


def embedded_address(host: str, pid: int) -> str:
    """How the process ``pid`` on ``host`` is named that leads, and takes no requests of others."""
    return f"{host[:HOST_CHARS_MAX]}.pid-{pid}.embedded:0"


def is_dialled(address: str) -> bool:
    """Whether a leader of this address can be asked anything."""
    return not address.endswith(":0")


def called(address: str) -> str:
    """How a leader is called in a message."""
    found = _EMBEDDED.fullmatch(address)
    if found is None:
        return address
    host, pid = found.groups()
    return f"the embedded queue of process {pid} on {host}"
