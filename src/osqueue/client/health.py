"""Asking a broker whether it is there, whatever transport its requests go by.

That is a plain HTTP request on connections of its own: a busy pool must not look like silence. Only
a broker that is known by its gRPC port alone is asked there.
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from osqueue.client.addresses import HTTP_SCHEMES
from osqueue.client.credentials import Credentials
from osqueue.client.transports.kinds import Dial, Dialler, dialler_of
from osqueue.client.transports.protocol import QueueTransportAdapter
from osqueue.config import ClientSettings
from osqueue.wire.operations import GET_STATUS, Operation

__all__ = ["HEALTH", "HEALTH_S_MAX", "ask_health", "probing"]

HEALTH: Final = Operation(
    "health", "GET", "/healthz", None, Raw, "Whether the process is alive.", None
)
HEALTH_S_MAX: Final = 2.0
"""A broker that does not say within this that it is there is silent. It answers at once, also
when its store is slow; reading a large state at a takeover takes it half a second."""


def probing(dialler: Dialler, settings: ClientSettings, credentials: Credentials) -> Dial:
    """How the transports of probes are made."""
    rest = dialler_of("rest", settings, credentials)

    def dial(url: str) -> QueueTransportAdapter:
        return (rest if _speaks_http(url) else dialler).dial(url)

    return dial


async def ask_health(transport: QueueTransportAdapter, url: str) -> None:
    """Return when the broker has said anything. Raises the transport's errors."""
    operation = HEALTH if _speaks_http(url) else GET_STATUS
    await transport.call(operation, timeout_s=HEALTH_S_MAX)


def _speaks_http(url: str) -> bool:
    return url.partition(":")[0] in HTTP_SCHEMES
