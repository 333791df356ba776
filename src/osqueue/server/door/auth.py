"""The door: who may call, and what, before anything of a request is read. For every transport.

A transport calls `Doorkeeper.admit` once for each connection or request, and `Principal.check` once
for each request, with the role that its operation asks for (`osqueue.wire.operations`); what asks
for none is open to everybody, and is not brought here. A connection that lives on asks
`Principal.current` every few seconds: a token can be revoked meanwhile.

Laws: nothing is admitted that is not known to be allowed; a message tells what to do and never
repeats a token; where no token is configured, only this host is served (protected mode).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from osqueue.config import ServerSettings
from osqueue.engine.callers import Caller, CallerGoneError
from osqueue.errors import AuthError
from osqueue.server.door.origins import HeaderPairs, Origins
from osqueue.server.door.peers import Peer, forwarded_for, is_this_host
from osqueue.server.door.rates import RateLimiter, rate_key
from osqueue.server.door.tokens import TokenEntry, TokenList
from osqueue.wire.roles import Needed, called

__all__ = ["ANONYMOUS", "Doorkeeper", "Principal"]

ANONYMOUS: Final = "anonymous"
"""The name of whoever calls where no token is needed."""


class Principal:
    """Who calls."""

    __slots__ = ("_counted_as", "_door", "_entry", "name")

    def __init__(self, door: Doorkeeper, entry: TokenEntry | None, host: str | None) -> None:
        self._door = door
        self._entry = entry
        self.name = ANONYMOUS if entry is None else entry.name
        """For logs: the name of the token, never the token."""
        self._counted_as = host if entry is None else entry.name

    def check(self, role: Needed) -> None:
        """Let one request pass.

        Raises `AuthError`, 401 if the token was revoked and else 403, and `OverloadedError` for a
        caller who asks too often.
        """
        self.confirm(role)
        if self._door.rates is not None:
            key = self._counted_as
            self._door.rates.spend(rate_key(key) if self._entry is None else f"the token {key}")

    def confirm(self, role: Needed) -> None:
        """Raise `AuthError` if a request that was let pass may not go on, as `check` does."""
        if self._entry is None:
            return
        entry = self._door.renewed(self._entry)
        if entry is None:
            raise _refused(f"the token {self.name} was revoked")
        if not entry.has(role):
            raise AuthError(
                f"the token {self.name} lacks the role {called(role)}, which this asks for"
            )

    def current(self) -> bool:
        """Whether the token is still known."""
        return self._entry is None or self._door.renewed(self._entry) is not None

    @contextmanager
    def waiting(self, caller: Caller, role: Needed) -> Iterator[None]:
        """While a request waits inside: its caller leaves when it may not go on.

        Then `AuthError` is raised, for a caller who has left otherwise is not told anything.
        """
        if self._entry is None:
            yield
            return

        def look() -> None:
            try:
                self.confirm(role)
            except AuthError:
                caller.leave()

        with self._door.told_of_changes(look):
            try:
                yield
            except CallerGoneError:
                self.confirm(role)
                raise


class Doorkeeper:
    """Admits callers.

    ``addresses``: every ``host:port`` under which a page may be the broker's own. ``tokens``: those
    that are known, or ``None`` where no token is configured. ``rates``: how often each may ask.
    """

    def __init__(
        self,
        settings: ServerSettings,
        addresses: frozenset[str],
        *,
        tokens: TokenList | None = None,
        rates: RateLimiter | None = None,
    ) -> None:
        self.rates = rates
        self._allow_remote = settings.allow_remote
        self._tokens = tokens
        self._origins = Origins(addresses, settings.cors_origins, authorization=tokens is not None)

    def admit(self, headers: Mapping[bytes, bytes], peer: Peer) -> Principal:
        """Who calls. Raises `AuthError`: 401 for a token that is missing or unknown, else 403.

        ``headers`` by lower-case names; several of one name are joined by commas.
        """
        self._origins.check(headers)
        if self._tokens is not None:
            return Principal(self, self._known(headers, self._tokens), peer.host)
        if not self._allow_remote:
            self._check_near(headers, peer)
        return Principal(self, None, peer.host)

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
            raise _refused("this broker asks for a token, as `authorization: Bearer osq_…`")
        scheme, _, token = value.strip().partition(b" ")
        if scheme.lower() != b"bearer":
            raise _refused("this broker knows only tokens, as `authorization: Bearer osq_…`")
        entry = tokens.find(token.strip())
        if entry is None:
            raise _refused("this token is not known here; it may have been revoked")
        return entry

    def _check_near(self, headers: Mapping[bytes, bytes], peer: Peer) -> None:
        if not is_this_host(peer):
            raise _too_far(str(peer.host))
        for host in forwarded_for(headers):
            if not is_this_host(Peer(host, None)):
                raise _too_far(f"{host}, for whom a proxy asks")
        self._origins.check_host(headers)


def _refused(message: str) -> AuthError:
    return AuthError(message, status=401)


def _too_far(host: str) -> AuthError:
    return AuthError(
        f"this broker has no token configured and so serves only its own host, not {host}; make "
        "one with `osqueue token new` and give it --tokens-file (OSQUEUE_TOKENS_FILE), or start it "
        "with --allow-remote (BROKER_ALLOW_REMOTE=1) on a network that you trust"
    )
