"""A WebSocket that tells that something is coming before it is all there."""

from __future__ import annotations

from typing import Literal

import aiohttp

__all__ = ["ProgressSocket"]


class ProgressSocket(aiohttp.ClientWebSocketResponse[Literal[False]]):
    """A socket of bytes that counts what it hears, also while a large frame is still coming.

    The hook is aiohttp's own, for its pings. Were it gone, a large answer on a slow connection
    would have to come within the time of any other.
    """

    heard = 0

    def _on_data_received(self) -> None:
        self.heard += 1
        super()._on_data_received()
