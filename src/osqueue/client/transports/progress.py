"""A WebSocket that tells that something is coming before it is all there, and sends what there is
to send at once.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import aiohttp

from osqueue.client.transports.gathered import GatheringTransport

__all__ = ["ProgressSocket"]


class ProgressSocket(aiohttp.ClientWebSocketResponse[Literal[False]]):
    """A socket of bytes that counts what it hears, also while a large frame is still coming.

    The hook is aiohttp's own, for its pings. Were it gone, a large answer on a slow connection
    would have to come within the time of any other. Were the writer another one, each frame would
    be sent by itself.
    """

    heard = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        gathering = GatheringTransport(self._writer.transport)
        self._writer.transport = cast("Any", gathering)

    def _on_data_received(self) -> None:
        self.heard += 1
        super()._on_data_received()
