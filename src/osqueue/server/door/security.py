"""What guards a broker's ports, made from its settings: the door, TLS, and the files of both."""

from __future__ import annotations

from osqueue.clock import Clock, Entropy
from osqueue.config import BrokerSettings
from osqueue.server.door.auth import Doorkeeper
from osqueue.server.door.rates import RateLimiter
from osqueue.server.door.sessions import Sessions
from osqueue.server.door.tls import ServerTls
from osqueue.server.door.token_source import TokenSource

__all__ = ["Security"]


class Security:
    """Raises `ConfigError` for files that cannot be used. `start` it, and `stop` it.

    Files that change while it runs are taken over; `problems` says which cannot be.
    """

    def __init__(self, settings: BrokerSettings, clock: Clock, entropy: Entropy) -> None:
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        access = settings.access
        self._source = TokenSource(access) if access.tokens_configured else None
        self.tls = ServerTls(settings.tls, clock) if settings.tls.active else None
        """For both ports; ``None``: they speak plain text."""
        self._rates: RateLimiter | None = None
        if access.requests_per_s:
            self._rates = RateLimiter(
                per_s=access.requests_per_s, burst=access.burst, mono_ms=clock.mono_ms
            )
        self._watches = [part.watch for part in (self._source, self.tls) if part is not None]

    def door(self, address: str, others: frozenset[str]) -> Doorkeeper:
        """The door of a broker that goes by these addresses, each ``host:port``. ``address``: the
        one that it advertises.
        """
        tokens = None if self._source is None else self._source.tokens
        sessions = None
        if tokens is not None:
            sessions = Sessions(tokens, address=address, clock=self._clock, entropy=self._entropy)
        return Doorkeeper(
            self._settings.server,
            others | {address},
            tokens=tokens,
            rates=self._rates,
            sessions=sessions,
        )

    def problems(self) -> list[str]:
        """What is not as new as its file, because that cannot be used."""
        found = [
            None if self._source is None else self._source.tokens.problem,
            None if self.tls is None else self.tls.problem,
        ]
        return [problem for problem in found if problem is not None]

    def start(self) -> None:
        """Look at the files from time to time."""
        for watch in self._watches:
            watch.start()

    async def stop(self) -> None:
        """Look no more. Harmless at any time."""
        for watch in self._watches:
            await watch.stop()
