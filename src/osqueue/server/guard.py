"""Who may call: the hosts and the browsers' pages that are let in, before anything is read."""

from __future__ import annotations

from typing import Final

from starlette.types import Scope

from osqueue.config import ServerSettings
from osqueue.errors import AuthError
from osqueue.server.http import Headers

__all__ = ["Guard"]

_MAPPED: Final = "::ffff:"
"""Begins an address of IPv4 where the socket is of IPv6."""

_OPEN_PATHS: Final = frozenset({"/healthz", "/readyz", "/v1/status"})
"""What load balancers and other brokers ask, from wherever they are."""

_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"Content-Type, Connect-Protocol-Version, Connect-Timeout-Ms",
    ),
    (b"content-length", b"0"),
)


class Guard:
    """Refuses other hosts while no token protects the queue, and pages of foreign origins."""

    def __init__(self, settings: ServerSettings, addresses: frozenset[str]) -> None:
        self._allow_remote = settings.allow_remote
        own = {f"{scheme}://{address}" for address in addresses for scheme in ("http", "https")}
        self._origins = frozenset(origin.encode() for origin in own | set(settings.cors_origins))

    def check(self, scope: Scope, headers: Headers) -> tuple[tuple[bytes, bytes], ...]:
        """Headers to send to an admitted caller. Raises `AuthError` for others."""
        self._check_host(scope)
        origin = headers.get(b"origin")
        if origin is None:
            return ()
        if origin not in self._origins:
            shown = origin.decode("latin-1")
            raise AuthError(
                f"pages of {shown} may not call this broker; allow them with --cors-origin {shown}"
            )
        return ((b"access-control-allow-origin", origin),)

    def preflight(self, headers: Headers) -> tuple[tuple[bytes, bytes], ...] | None:
        """The headers of the answer to a browser's preflight; ``None`` when it is none."""
        if b"origin" not in headers or b"access-control-request-method" not in headers:
            return None
        return _PREFLIGHT

    def _check_host(self, scope: Scope) -> None:
        client, server = scope.get("client"), scope.get("server")
        if self._allow_remote or client is None or scope["path"] in _OPEN_PATHS:
            return
        host: str = client[0]
        plain = host.removeprefix(_MAPPED)
        if plain == "::1" or plain.startswith("127."):
            return
        if server is not None and plain == server[0].removeprefix(_MAPPED):
            return
        raise AuthError(
            f"this broker has no token configured and so serves only its own host, not {host}; "
            "start it with --allow-remote (BROKER_ALLOW_REMOTE=1) on a network that you trust"
        )
