"""ASGI applications behind the door: nothing of a request is read before its caller is admitted."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from osqueue.server.door.auth import Doorkeeper, Principal
from osqueue.server.door.peers import peer_of_scope
from osqueue.server.door.security_headers import SAME_ORIGIN
from osqueue.server.door.sessions import Way
from osqueue.server.http import NO_STORE, headers_of
from osqueue.wire.roles import Needed

__all__ = ["PRINCIPAL", "Entrance", "enter", "principal_of"]

PRINCIPAL: Final = "osqueue.principal"
"""Where a scope names who calls."""


class Entrance:
    """Calls ``app`` for callers who have ``role``; any that are admitted where it is ``None``."""

    def __init__(self, app: ASGIApp, door: Doorkeeper, role: Needed) -> None:
        self._app = app
        self._door = door
        self._role = role

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = enter(scope, self._door)
        principal.check(self._role)
        await self._app(scope, receive, _kept_nowhere(send) if principal.in_session else send)


def principal_of(scope: Scope) -> Principal:
    """Who calls, once he was let in."""
    principal = scope[PRINCIPAL]
    assert isinstance(principal, Principal), "it was named by `enter`"
    return principal


def enter(scope: Scope, door: Doorkeeper) -> Principal:
    """Who calls, also named in the scope. Raises `AuthError`."""
    way = Way.of(scope["method"])
    principal = door.admit(headers_of(scope), peer_of_scope(scope), way)
    scope[PRINCIPAL] = principal
    return principal


def _kept_nowhere(send: Send) -> Send:
    """Caches take notice of tokens, but not of cookies, and would show to others what is here; and
    a page of another port of this host may not have it loaded as a picture or a script.
    """

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], NO_STORE, SAME_ORIGIN]
        await send(message)

    return sending
