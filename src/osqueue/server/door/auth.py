"""The door: who may call, and what, before anything of a request is read. For every transport.

A transport calls `Doorkeeper.admit` once for each connection or request, and `Principal.check` once
for each request, with the role that its operation asks for (`osqueue.wire.operations`); what asks
for none is open to everybody, and is not brought here. A connection that lives on asks
`Principal.current` every few seconds: a token can be revoked meanwhile.

A browser may show a session in place of its token (`sessions`): whoever shows both is known by the
token.

Laws: nothing is admitted that is not known to be allowed; a message tells what to do and never
repeats a token; where no token is configured, only this host is served (protected mode).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from osqueue.config import ServerSettings
from osqueue.errors import AuthError, BrokerProtocolError
from osqueue.server.door.origins import HeaderPairs, Origins
from osqueue.server.door.peers import Peer, forwarded_for, is_this_host
from osqueue.server.door.principal import ANONYMOUS, SESSION_OVER, Principal, unauthorized
from osqueue.server.door.rates import RateLimiter, rate_key
from osqueue.server.door.sessions import Session, Sessions, Way, expect_own_page
from osqueue.server.door.tokens import TokenEntry, TokenList

__all__ = ["ANONYMOUS", "Doorkeeper", "Principal"]

_UNKNOWN: Final = "this token is not known here; it may have been revoked"


class Doorkeeper:
    """Admits callers.

    ``addresses``: every ``host:port`` under which a page may be the broker's own. ``tokens``: those
    that are known, or ``None`` where no token is configured. ``rates``: how often each may ask.
    ``sessions``: of browsers that have logged in with one of ``tokens``.
    """

    def __init__(
        self,
        settings: ServerSettings,
        addresses: frozenset[str],
        *,
        tokens: TokenList | None = None,
        rates: RateLimiter | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        self.rates = rates
        self.hides_payloads = settings.hide_payloads
        self._allow_remote = settings.allow_remote
        self._tokens = tokens
        self._sessions = sessions
        self._origins = Origins(addresses, settings.cors_origins, authorization=tokens is not None)

    def admit(
        self, headers: Mapping[bytes, bytes], peer: Peer, way: Way = Way.PROGRAM
    ) -> Principal:
        """Who calls. Raises `AuthError`: 401 for a token that is missing or unknown, else 403.

        ``headers`` by lower-case names; several of one name are joined by commas.
        """
        self._origins.check(headers)
        if self._tokens is None:
            self.admit_anybody(headers, peer)
            return Principal(self, None, peer.host)
        session = self._session(headers, way)
        if session is not None:
            return Principal(self, session.entry, peer.host, session)
        return Principal(self, self._known(headers, self._tokens), peer.host)

    def admit_anybody(self, headers: Mapping[bytes, bytes], peer: Peer) -> None:
        """Let in who shows no token, to what holds no secret. Raises `AuthError`: in protected mode
        that is only this host.
        """
        if self._tokens is None and not self._allow_remote:
            self._check_near(headers, peer)

    def expect_own_page(self, headers: Mapping[bytes, bytes], peer: Peer) -> None:
        """Raise `AuthError` for whoever does not ask from a page of this broker, as logging in and
        out does: another site could log its visitors in with a token of its own.
        """
        self._origins.check(headers)
        self.admit_anybody(headers, peer)
        expect_own_page(headers, Way.WRITE)

    def log_in(self, headers: Mapping[bytes, bytes], peer: Peer, token: str) -> bytes:
        """Begin a session: the cookie to be set.

        Raises `AuthError` for a token that is not known, `OverloadedError` for one of many wrong
        ones, and `BrokerProtocolError` where no token is asked for.
        """
        if self._tokens is None or self._sessions is None:
            raise BrokerProtocolError("this broker asks for no token, so there is no login")
        entry = self._tokens.find(token.strip().encode(errors="replace"))
        if entry is None:
            self._sessions.failures.spend(rate_key(peer.host))
            raise unauthorized(_UNKNOWN)
        return self._sessions.begin(entry, headers)

    def log_out(self, headers: Mapping[bytes, bytes]) -> bytes | None:
        """End the session that a request shows: the cookie that undoes its own, if there can be."""
        if self._sessions is None:
            return None
        self._sessions.end(self._sessions.shown(headers))
        return self._sessions.no_cookie(headers)

    def holds(self, session: Session) -> bool:
        """Whether a session has not ended; it counts as used."""
        return self._sessions is not None and self._sessions.holds(session)

    def told_of_changes(self, listener: Callable[[], None]) -> AbstractContextManager[None]:
        """Inside, ``listener`` is called whenever the list of tokens has changed."""
        return nullcontext() if self._tokens is None else self._tokens.told_of_changes(listener)

    def renewed(self, entry: TokenEntry) -> TokenEntry | None:
        """What holds now for a token that was found earlier; ``None`` once it was revoked."""
        return None if self._tokens is None else self._tokens.renewed(entry)

    def check_page(self, headers: Mapping[bytes, bytes]) -> HeaderPairs:
        """What the answer to a browser's page tells the browser; nothing for other callers.

        Raises `AuthError` for pages of foreign origins.
        """
        return self._origins.check(headers)

    def preflight(self, headers: Mapping[bytes, bytes]) -> HeaderPairs | None:
        """The headers of the answer to a browser's preflight; ``None`` when it is none."""
        return self._origins.preflight(headers)

    def _known(self, headers: Mapping[bytes, bytes], tokens: TokenList) -> TokenEntry:
        value = headers.get(b"authorization")
        if value is None:
            raise unauthorized("this broker asks for a token, as `authorization: Bearer osq_…`")
        scheme, _, token = value.strip().partition(b" ")
        if scheme.lower() != b"bearer":
            raise unauthorized("this broker knows only tokens, as `authorization: Bearer osq_…`")
        entry = tokens.find(token.strip())
        if entry is None:
            raise unauthorized(_UNKNOWN)
        return entry

    def _session(self, headers: Mapping[bytes, bytes], way: Way) -> Session | None:
        """The session that a request shows, unless it shows a token."""
        if self._sessions is None or way is Way.PROGRAM or b"authorization" in headers:
            return None
        if not self._sessions.are_shown(headers):
            return None
        session = self._sessions.shown(headers)
        if session is None:
            raise unauthorized(SESSION_OVER)
        expect_own_page(headers, way)
        return session

    def _check_near(self, headers: Mapping[bytes, bytes], peer: Peer) -> None:
        if not is_this_host(peer):
            raise _too_far(str(peer.host))
        for host in forwarded_for(headers):
            if not is_this_host(Peer(host, None)):
                raise _too_far(f"{host}, for whom a proxy asks")
        self._origins.check_host(headers)


def _too_far(host: str) -> AuthError:
    return AuthError(
        f"this broker has no token configured and so serves only its own host, not {host}; make "
        "one with `osqueue token new` and give it --tokens-file (OSQUEUE_TOKENS_FILE), or start it "
        "with --allow-remote (BROKER_ALLOW_REMOTE=1) on a network that you trust"
    )
