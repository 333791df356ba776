"""Sessions: what a browser shows in place of a token, in a cookie that no page can read.

Whoever logs in with a token on a page of this broker gets one. It is a random secret that stands
for the token until it has not been used for a while, until its owner logs out, until the token is
revoked, or until this broker ends: it lives in memory alone.

Laws: a browser sends the cookie along whoever has it send a request, so what a session may do
depends on how the request came (`Way`); a secret is made anew at each login and never taken over
from a request; how many sessions there are is bounded, for each token and in all, and the one that
has not been used for longest goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from hashlib import sha256
from typing import Final

from osqueue.clock import Clock, Entropy
from osqueue.config import (
    LOGIN_FAILURES_AT_ONCE,
    LOGIN_FAILURES_PER_S,
    SESSION_IDLE_MS,
    SESSIONS_MAX,
    SESSIONS_PER_TOKEN_MAX,
)
from osqueue.errors import AuthError
from osqueue.server.door.rates import RateLimiter
from osqueue.server.door.tokens import TokenEntry, TokenList
from osqueue.server.http import Headers

__all__ = ["OWN_PAGE", "Session", "Sessions", "Way", "expect_own_page"]

OWN_PAGE: Final = b"x-osqueue-ui"
"""A header that only the broker's own pages can set: those of other origins would have to ask the
broker first, which allows it to nobody."""

_SECURE_PREFIX: Final = b"__Host-"
"""Has a browser take a cookie only from this very host, and only over TLS."""

_ATTRIBUTES: Final = b"; Path=/; HttpOnly; SameSite=Strict"


class Way(Enum):
    """How a request came, which says what a session may do by it."""

    PROGRAM = "program"
    """By what no browser speaks: a session opens nothing."""
    READ = "read"
    """GET or HEAD: what other sites cause to be read, they do not see."""
    WRITE = "write"
    """Any other method: only from the broker's own pages."""
    UPGRADE = "upgrade"
    """A WebSocket, whose page is named by ``origin`` alone."""

    @staticmethod
    def of(method: str) -> Way:
        """The way of a request of HTTP."""
        return Way.READ if method in {"GET", "HEAD"} else Way.WRITE


class Session:
    """One browser that is logged in."""

    __slots__ = ("_listeners", "entry", "key", "used_ms")

    def __init__(self, key: bytes, entry: TokenEntry, now_ms: int) -> None:
        self.key = key
        self.entry = entry
        """The token that it stands for."""
        self.used_ms = now_ms
        self._listeners: dict[object, Callable[[], None]] = {}

    @contextmanager
    def told_of_end(self, listener: Callable[[], None]) -> Iterator[None]:
        """Inside, ``listener`` is called when the session has ended."""
        key = object()
        self._listeners[key] = listener
        try:
            yield
        finally:
            del self._listeners[key]

    def ended(self) -> None:
        """Tell whoever waits by it."""
        for listener in list(self._listeners.values()):
            listener()


class Sessions:
    """Those of one broker. ``address``: the broker's own, which tells its cookies from others'.

    Cookies are kept apart by host, not by port: two brokers of one host would log each other's
    users out.
    """

    def __init__(self, tokens: TokenList, *, address: str, clock: Clock, entropy: Entropy) -> None:
        self._tokens = tokens
        self._name = b"osqueue_session_%b" % sha256(address.encode()).hexdigest()[:8].encode()
        self._clock = clock
        self._entropy = entropy
        self.failures = RateLimiter(
            per_s=LOGIN_FAILURES_PER_S, burst=LOGIN_FAILURES_AT_ONCE, mono_ms=clock.mono_ms
        )
        """Of logins, by host."""
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        """By the hash of the secret, so that the time of a search tells nothing of it; those that
        have not been used for longest first."""

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, entry: TokenEntry, headers: Headers) -> bytes:
        """Log in: the cookie to be set. A session that the request shows is over."""
        self.end(self.shown(headers))
        self._make_room(entry)
        secret = self._entropy.secret().encode()
        session = Session(_key(secret), entry, self._clock.mono_ms())
        self._sessions[session.key] = session
        return self._cookie(secret, headers)

    def shown(self, headers: Headers) -> Session | None:
        """The session that a request shows; ``None`` when it shows none, or one that is over."""
        session = self._sessions.get(_key(self._secret_in(headers)))
        return session if session is not None and self.holds(session) else None

    def are_shown(self, headers: Headers) -> bool:
        """Whether a request shows a session, be it over or not."""
        return bool(self._secret_in(headers))

    def holds(self, session: Session) -> bool:
        """Whether a session has not ended. It is used by that."""
        now_ms = self._clock.mono_ms()
        if self._sessions.get(session.key) is not session:
            return False
        if self._is_over(session, now_ms):
            self.end(session)
            return False
        session.used_ms = now_ms
        self._sessions.move_to_end(session.key)
        return True

    def end(self, session: Session | None) -> None:
        """Log out. Whoever waits by it is told."""
        if session is not None and self._sessions.pop(session.key, None) is not None:
            session.ended()

    def no_cookie(self, headers: Headers) -> bytes:
        """What has a browser forget the cookie."""
        return self._cookie(b"", headers) + b"; Max-Age=0"

    def _make_room(self, entry: TokenEntry) -> None:
        """End sessions that are over, and the oldest where there are too many."""
        now_ms = self._clock.mono_ms()
        while self._sessions and self._is_over(self._idlest, now_ms):
            self.end(self._idlest)
        own = [each for each in self._sessions.values() if each.entry.token_id == entry.token_id]
        if len(own) >= SESSIONS_PER_TOKEN_MAX:
            self.end(own[0])
        if len(self._sessions) >= SESSIONS_MAX:
            self.end(self._idlest)

    @property
    def _idlest(self) -> Session:
        return next(iter(self._sessions.values()))

    def _is_over(self, session: Session, now_ms: int) -> bool:
        idle = now_ms - session.used_ms > SESSION_IDLE_MS
        return idle or self._tokens.renewed(session.entry) is None

    def _secret_in(self, headers: Headers) -> bytes:
        """What the cookie holds; one that only this host can have set is preferred."""
        cookies = _cookies(headers)
        return cookies.get(_SECURE_PREFIX + self._name) or cookies.get(self._name, b"")

    def _cookie(self, secret: bytes, headers: Headers) -> bytes:
        """The page's own origin tells whether it came over TLS, also where a proxy speaks that."""
        if headers.get(b"origin", b"").startswith(b"https://"):
            return _SECURE_PREFIX + self._name + b"=" + secret + _ATTRIBUTES + b"; Secure"
        return self._name + b"=" + secret + _ATTRIBUTES


def expect_own_page(headers: Headers, way: Way) -> None:
    """Raise `AuthError` for what another site's page could have caused.

    ``origin`` itself has been looked at: it is this broker's, or one that was allowed.
    """
    if way is Way.READ:
        return
    if b"origin" not in headers:
        raise AuthError("a session acts only for a page, which `origin` must name; use a token")
    if way is Way.WRITE and OWN_PAGE not in headers:
        raise AuthError(
            "a session acts only for the broker's own pages, which send `x-osqueue-ui: 1`; "
            "use a token"
        )


def _key(secret: bytes) -> bytes:
    return sha256(secret).digest()


def _cookies(headers: Headers) -> dict[bytes, bytes]:
    """By name; the first of one name, which is the one of the longest path."""
    cookies: dict[bytes, bytes] = {}
    for each in headers.get(b"cookie", b"").split(b";"):
        name, found, value = each.strip().partition(b"=")
        if found:
            cookies.setdefault(name, value)
    return cookies
