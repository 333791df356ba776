"""Who calls, once let in, and what that caller may do: asked again for each request.

Laws: what was true when a caller came in may have changed since, so the list of tokens and the
sessions are looked at each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from osqueue.engine.callers import Caller, CallerGoneError
from osqueue.errors import AuthError
from osqueue.server.door.rates import rate_key
from osqueue.server.door.sessions import Session
from osqueue.server.door.tokens import TokenEntry
from osqueue.wire.roles import Needed, Role, called

if TYPE_CHECKING:  # it makes these
    from osqueue.server.door.auth import Doorkeeper

__all__ = ["ANONYMOUS", "SESSION_OVER", "Principal", "unauthorized"]

ANONYMOUS: Final = "anonymous"
"""The name of whoever calls where no token is needed."""

SESSION_OVER: Final = "this session is over; log in again"


class Principal:
    """Who calls."""

    __slots__ = ("_counted_as", "_door", "_entry", "_session", "name")

    def __init__(
        self,
        door: Doorkeeper,
        entry: TokenEntry | None,
        host: str | None,
        session: Session | None = None,
    ) -> None:
        self._door = door
        self._entry = entry
        self._session = session
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
            raise unauthorized(f"the token {self.name} was revoked")
        if not self._session_holds():
            raise unauthorized(SESSION_OVER)
        if not entry.has(role):
            raise AuthError(
                f"the token {self.name} lacks the role {called(role)}, which this asks for"
            )

    def current(self) -> bool:
        """Whether the token is still known, and the session has not ended."""
        if self._entry is None:
            return True
        return self._door.renewed(self._entry) is not None and self._session_holds()

    @property
    def roles(self) -> frozenset[Role]:
        """What this caller may do now."""
        if self._entry is None:
            return frozenset(Role)
        entry = self._door.renewed(self._entry)
        return frozenset() if entry is None else frozenset(filter(entry.has, Role))

    @property
    def in_session(self) -> bool:
        """Whether it is a browser that is logged in."""
        return self._session is not None

    @property
    def sees_payloads(self) -> bool:
        """Whether reads show payloads and results: where they are hidden, only to a token that was
        given the role of those who work on them, which the admin's has only by the way.
        """
        if not self._door.hides_payloads:
            return True
        entry = None if self._entry is None else self._door.renewed(self._entry)
        return entry is not None and Role.WORK in entry.roles

    def expect_payloads(self) -> None:
        """Raise `AuthError` for a caller whom they are hidden from."""
        if not self.sees_payloads:
            raise AuthError(
                f"this broker hides payloads from {self.name}: show a token with the role "
                f"{Role.WORK}, or start it without --hide-payloads (OSQUEUE_HIDE_PAYLOADS)"
            )

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

        session = self._session
        ending = nullcontext() if session is None else session.told_of_end(look)
        with self._door.told_of_changes(look), ending:
            try:
                yield
            except CallerGoneError:
                self.confirm(role)
                raise

    def _session_holds(self) -> bool:
        return self._session is None or self._door.holds(self._session)


def unauthorized(message: str) -> AuthError:
    """For a caller who is not known, or not any more."""
    return AuthError(message, status=401)
