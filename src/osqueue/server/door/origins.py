"""Browsers: the pages that may call, and the names under which a page may reach this broker."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Final, TypeAlias

from osqueue.errors import AuthError

__all__ = ["HeaderPairs", "Origins"]

HeaderPairs: TypeAlias = tuple[tuple[bytes, bytes], ...]

_METHODS: Final = b"GET, POST, PUT, DELETE, OPTIONS"
_HEADERS: Final = b"Content-Type, Connect-Protocol-Version, Connect-Timeout-Ms"

_PAGE: Final = re.compile(rb"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]+)?")
"""An origin as browsers write it."""

_NOBODYS: Final = (".local", ".localhost", ".internal", ".lan", ".home.arpa", ".test")
"""Ends of names that nobody can register in the public DNS, and so have answered as he likes."""


class Origins:
    """Knows the broker's own origins, by the ``host:port`` under which it is dialled, and others.

    With ``authorization``, pages may send a token.
    """

    def __init__(
        self, addresses: Iterable[str], allowed: Iterable[str], *, authorization: bool
    ) -> None:
        own, allowed = list(addresses), list(allowed)
        origins = {f"{scheme}://{address}" for address in own for scheme in ("http", "https")}
        self._origins = frozenset(origin.encode() for origin in origins | set(allowed))
        places = [*own, *(origin.partition("://")[2] for origin in allowed)]
        self._hosts = frozenset(place.lower().encode() for place in places)
        self._names = frozenset(_name_of(place) for place in places)
        self._headers = _HEADERS + b", Authorization" if authorization else _HEADERS
        self._tokens = authorization

    def check(self, headers: Mapping[bytes, bytes]) -> HeaderPairs:
        """What the answer to a page tells its browser. Raises `AuthError` for foreign pages."""
        origin = headers.get(b"origin")
        if origin is None:
            return ()
        if origin not in self._origins and not self._is_of_host(origin, headers):
            shown = origin.decode("latin-1")
            raise AuthError(
                f"pages of {shown} may not call this broker; allow them with --cors-origin {shown}"
            )
        return ((b"access-control-allow-origin", origin),)

    def check_host(self, headers: Mapping[bytes, bytes]) -> None:
        """Refuse a name that may be a stranger's, made to mean this host.

        A page of a site whose name turns into 127.0.0.1 is of the same origin as what it then reads
        here, and says so nowhere but in ``host``.
        """
        host = headers.get(b"host", b"").lower()
        if host in self._hosts or not host:
            return
        name = _name_of(host.decode("latin-1"))
        if name in self._names or not _may_be_a_strangers(name):
            return
        shown = host.decode("latin-1")
        raise AuthError(
            f"this broker has no token configured and does not go by the name {shown}; "
            f"--cors-origin http://{shown} allows it"
        )

    def _is_of_host(self, origin: bytes, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a page came from where it asks now: a port that is mapped to this broker's, or a
        proxy that hands the name on.

        So says the page of a stranger whose name has turned into this host's address, too. It has
        no token, and no cookie of another name; but where none is needed, it must not pass.
        """
        place = origin.partition(b"://")[2]
        if not _PAGE.fullmatch(origin) or place != headers.get(b"host", b"").lower():
            return False
        return self._tokens or not _may_be_a_strangers(_name_of(place.decode("latin-1")))

    def preflight(self, headers: Mapping[bytes, bytes]) -> HeaderPairs | None:
        """The headers of the answer to a browser's preflight; ``None`` when it is none."""
        if b"origin" not in headers or b"access-control-request-method" not in headers:
            return None
        return (
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", self._headers),
            (b"content-length", b"0"),
        )


def _name_of(host: str) -> str:
    """The name in ``name:port``, or the address in ``[address]:port``."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal():
        name = host
    return name.lower().strip("[]").rstrip(".")


def _may_be_a_strangers(name: str) -> bool:
    """Whether somebody on the Internet can own a name: none without a dot, and no address."""
    try:
        ip_address(name)
    except ValueError:
        return "." in name and not name.endswith(_NOBODYS)
    return False
