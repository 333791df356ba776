"""What is observed of HTTP: the page of the metrics, and the bytes that go in and out."""

from __future__ import annotations

from typing import Final

from starlette.types import Message, Receive, Scope, Send

from osqueue.server.door.entrance import PRINCIPAL
from osqueue.server.http import headers_of, respond
from osqueue.server.telemetry.metrics import Metrics
from osqueue.server.telemetry.observing import SeenRequest

__all__ = ["HTTP", "REST", "MetricsPage", "counted"]

HTTP: Final = "http"
"""The transport of connections, before it is known what is spoken on them."""

REST: Final = "rest"


class MetricsPage:
    """`GET /metrics`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        accept = headers_of(scope).get(b"accept", b"").decode("latin-1")
        text, kind = self._metrics.exposition(accept)
        headers = ((b"content-type", kind.encode()), (b"content-length", b"%d" % len(text)))
        await respond(send, 200, body=text, headers=headers)


def counted(seen: SeenRequest, scope: Scope, receive: Receive, send: Send) -> tuple[Receive, Send]:
    """The same, with what passes noted in ``seen``."""
    client = scope.get("client")
    seen.peer = client[0] if client else ""

    async def receiving() -> Message:
        message = await receive()
        seen.received += len(message.get("body", b""))
        return message

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            seen.status = message["status"]
            seen.principal = getattr(scope.get(PRINCIPAL), "name", "")
        seen.sent += len(message.get("body", b""))
        await send(message)

    return receiving, sending
