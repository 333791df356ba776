"""`/ui/session`: who a browser is here, logging in and logging out.

Laws: nothing of a request is read that another site's page could have caused; a token is never
repeated, and no cache keeps an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.types import ASGIApp, Receive, Scope, Send

import osqueue
from osqueue.config import LOGIN_BYTES_MAX
from osqueue.errors import AuthError
from osqueue.server.door.auth import ANONYMOUS, Doorkeeper, Principal
from osqueue.server.door.entrance import enter
from osqueue.server.door.peers import peer_of_scope
from osqueue.server.http import (
    NO_STORE,
    decode_body,
    headers_of,
    read_body,
    respond,
    respond_json,
)
from osqueue.wire.roles import Role

__all__ = ["SessionInfo", "SessionPage"]

_SET_COOKIE: Final = b"set-cookie"


class SessionInfo(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """What the dashboard asks first, to offer only what is allowed."""

    login: bool
    """Whether a token is asked for that was not shown."""
    name: str | None = None
    """Of the token."""
    roles: list[str]
    """What its bearer may do."""
    hide_payloads: bool
    version: str


class _Login(msgspec.Struct):
    token: Annotated[str, Meta(min_length=1, max_length=LOGIN_BYTES_MAX)]


_encode: Final = msgspec.json.Encoder().encode
_login: Final = msgspec.json.Decoder(_Login)


class SessionPage:
    """An ASGI application."""

    def __init__(self, door: Doorkeeper) -> None:
        self._door = door
        self._by_method: Mapping[str, ASGIApp] = MappingProxyType(
            {"GET": self._show, "HEAD": self._show, "POST": self._log_in, "DELETE": self._log_out}
        )

    @property
    def methods(self) -> list[str]:
        """Those that it takes."""
        return list(self._by_method)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._by_method[scope["method"]](scope, receive, send)

    async def _show(self, scope: Scope, _receive: Receive, send: Send) -> None:
        principal = self._principal(scope)
        info = SessionInfo(
            login=principal is None,
            name=None if principal is None or principal.name == ANONYMOUS else principal.name,
            roles=[] if principal is None else [role for role in Role if role in principal.roles],
            hide_payloads=self._hides_from(principal),
            version=osqueue.__version__,
        )
        await respond_json(send, _encode(info), headers=(NO_STORE,))

    def _hides_from(self, principal: Principal | None) -> bool:
        return self._door.hides_payloads if principal is None else not principal.sees_payloads

    async def _log_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, peer = headers_of(scope), peer_of_scope(scope)
        self._door.expect_own_page(headers, peer)
        asked = decode_body(await read_body(scope, receive, LOGIN_BYTES_MAX), headers, _login)
        cookie = self._door.log_in(headers, peer, asked.token)
        await respond(send, 204, headers=(NO_STORE, (_SET_COOKIE, cookie)))

    async def _log_out(self, scope: Scope, _receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        self._door.expect_own_page(headers, peer_of_scope(scope))
        cookie = self._door.log_out(headers)
        cookies = () if cookie is None else ((_SET_COOKIE, cookie),)
        await respond(send, 204, headers=(NO_STORE, *cookies))

    def _principal(self, scope: Scope) -> Principal | None:
        """Who asks; ``None`` for one who is to log in. Raises `AuthError` for pages and hosts that
        nothing is served to.
        """
        try:
            principal = enter(scope, self._door)
            principal.check(None)
        except AuthError as error:
            if error.status != 401:
                raise
            return None
        return principal
