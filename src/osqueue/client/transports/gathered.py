"""Writes to a socket, gathered: what is written within one turn of the loop goes out at once.

A system call costs more than a frame, and what arrives together shares a commit at the broker.
"""

from __future__ import annotations

import asyncio

__all__ = ["GatheringTransport"]


class GatheringTransport:
    """What a WebSocket's writer asks of a transport."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._written: list[bytes] = []

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Have it sent at the end of this turn; nobody is told if the connection ends before."""
        if not self._written:
            asyncio.get_running_loop().call_soon(self._flush)
        self._written.append(data)

    def _flush(self) -> None:
        written, self._written = self._written, []
        if not self._transport.is_closing():
            self._transport.write(b"".join(written))
