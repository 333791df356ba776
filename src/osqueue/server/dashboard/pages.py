"""`GET /`, the files that the page there loads from `/ui/`, and its session.

All of its links are relative, so it works under any path that a proxy serves it at. Laws: the files
hold no secret, so they need no token, and nothing but them is here; a browser asks each time
whether it still has the newest, and is not sent again what it has.
"""

from __future__ import annotations

from typing import Final

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from osqueue.config import ServerSettings
from osqueue.server.connection import connection_of
from osqueue.server.dashboard.files import INDEX, Asset, read_assets
from osqueue.server.dashboard.session import SessionPage
from osqueue.server.door.auth import Doorkeeper
from osqueue.server.door.origins import HeaderPairs
from osqueue.server.door.peers import peer_of_scope
from osqueue.server.door.security_headers import PAGE
from osqueue.server.http import Headers, headers_of, respond
from osqueue.server.pieces import respond_pieces

__all__ = ["dashboard_routes"]

_NAME: Final = "dashboard"
"""What metrics call requests of files."""

_ALWAYS: Final = (*PAGE, (b"cache-control", b"no-cache"), (b"vary", b"Accept-Encoding"))


def dashboard_routes(settings: ServerSettings, door: Doorkeeper) -> list[Route]:
    """A route for each file, and one for sessions; none where the dashboard is turned off."""
    if not settings.dashboard:
        return []
    assets = read_assets()
    index = _File(assets.pop(INDEX), settings, door)
    session = SessionPage(door)
    return [
        Route("/ui/session", session, methods=session.methods, name="session"),
        Route("/", index, methods=["GET"], name=_NAME),
        *(
            Route(f"/ui/{name}", _File(asset, settings, door), methods=["GET"], name=_NAME)
            for name, asset in assets.items()
        ),
    ]


class _File:
    """An ASGI application for one file."""

    def __init__(self, asset: Asset, settings: ServerSettings, door: Doorkeeper) -> None:
        self._asset = asset
        self._stall_s = settings.send_s_max
        self._door = door

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        self._door.admit_anybody(headers, peer_of_scope(scope))
        asset = self._asset
        said: HeaderPairs = (*_ALWAYS, (b"etag", asset.etag))
        if _has_it(headers, asset.etag):
            await respond(send, 304, headers=said)
            return
        data = asset.data
        if _takes_gzip(headers) and asset.compressed is not data:
            data = asset.compressed
            said = (*said, (b"content-encoding", b"gzip"))
        await respond_pieces(
            send,
            [memoryview(data)],
            headers=said,
            connection=connection_of(scope),
            stall_s=self._stall_s,
            kind=(b"content-type", asset.kind),
        )


def _has_it(headers: Headers, etag: bytes) -> bool:
    """Whether the caller has the file as it is now (RFC 9110, 13.1.2)."""
    known = [each.strip() for each in headers.get(b"if-none-match", b"").split(b",")]
    return b"*" in known or etag.removeprefix(b"W/") in [each.removeprefix(b"W/") for each in known]


def _takes_gzip(headers: Headers) -> bool:
    """Whether the caller understands gzip, and has not said that he would rather not."""
    weights = {}
    for item in headers.get(b"accept-encoding", b"").lower().split(b","):
        name, _, weight = item.partition(b";")
        weights[name.strip()] = weight.strip().removeprefix(b"q=").strip(b"0.") or not weight
    return bool(weights.get(b"gzip", weights.get(b"*", False)))
