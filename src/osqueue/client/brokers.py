"""Which brokers are known, and which one to ask next. Pure.

It is told what each broker did, and keeps one list, whom to ask first at its head. Laws:

- a broker that answers, and one that is named as the leader, goes to the head; one that fails or
  says that another one leads goes to the end,
- a broker that answers from an older epoch than was seen no longer leads: it fails,
- those that were configured are never forgotten; of those learnt, the last asked stay,
- a leader that is learnt is dialled by https where any broker is, and otherwise by http: who names
  one must not get a token in plain text. One that was configured keeps its own scheme.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from osqueue.client.addresses import endpoint, is_secure, url_of

__all__ = ["LEARNT_MAX", "Brokers"]

LEARNT_MAX: Final = 8
"""Most brokers remembered beside the configured ones: more than stand by for one queue, and each
may hold connections."""


class Brokers:
    """The brokers of one queue, by base URL."""

    def __init__(self, configured: Iterable[str], *, secure: bool = False) -> None:
        self._configured = tuple(dict.fromkeys(configured))
        secure = secure or any(map(is_secure, self._configured))
        self._scheme = "https" if secure else "http"
        self._order = list(self._configured)
        self._tried: dict[str, None] = {}
        self._silent: set[str] = set()
        self._lost = not self._order
        self._named: str | None = None
        self._epoch = -1

    @property
    def first(self) -> str | None:
        """The broker to ask next, if any is known."""
        return self._order[0] if self._order else None

    @property
    def lost(self) -> bool:
        """Whether nothing says that the first one leads: the leader failed, or none is known."""
        return self._lost

    @property
    def configured(self) -> tuple[str, ...]:
        """Those that are never forgotten."""
        return self._configured

    @property
    def known(self) -> tuple[str, ...]:
        """All of them, whom to ask first at the head."""
        return tuple(self._order)

    @property
    def tried(self) -> tuple[str, ...]:
        """Those that were of no use since the leader last answered."""
        return tuple(self._tried)

    def answered(self, url: str, epoch: int | None) -> bool:
        """A broker answered, from this epoch if it said so.

        Answers whether this is news of a new leader: then what waits elsewhere waits in vain.
        """
        if epoch is not None and epoch < self._epoch:
            self.failed(url)
            return False
        newer = epoch is not None and epoch > self._epoch
        named = url == self._named
        if not newer and not self._lost and url != self.first:
            return False  # a late answer, or the leader by another of its addresses
        if not (newer or self._lost or self._named or self._tried):
            return False  # as it was: nearly every answer
        self._put_first(url)
        self._named = None
        self._tried.clear()
        self._epoch = self._epoch if epoch is None else epoch
        return newer or (named and epoch is None)

    def redirected(self, url: str, leader: str | None) -> bool:
        """A broker said that ``leader`` (``host:port``) leads; answers whether to ask that one."""
        target = None if leader is None else self._dialled(leader)
        self.failed(url)
        if target is None or target == url:
            return False
        self._name(target)
        return True

    def failed(self, url: str) -> None:
        """A broker broke off, or cannot serve."""
        self._lost |= url == self.first
        self._named = None if url == self._named else self._named
        if url in self._order:
            self._order.remove(url)
            self._order.append(url)
            self._tried[url] = None

    def unreached(self, url: str) -> None:
        """A broker was not reached, or did not answer."""
        self.failed(url)
        if url in self._order:
            self._silent.add(url)

    def heard(self, url: str) -> None:
        """A broker is there, whatever it says."""
        self._silent.discard(url)

    def is_silent(self, url: str) -> bool:
        """Whether a broker was last seen not to answer: others may not know yet, and name it."""
        return url in self._silent

    def discovered(self, leader: str, epoch: int | None) -> bool:
        """The state object names ``leader``; answers whether that is news of a new leader."""
        target = self._dialled(leader)
        if target is None:
            return False
        self._name(target)
        if epoch is None or epoch <= self._epoch:
            return False
        self._epoch = epoch
        return True

    def forget_epoch(self) -> None:
        """Take the next answer as it is: the queue may be another one."""
        self._epoch = -1

    def _dialled(self, leader: str) -> str | None:
        target = url_of(leader, scheme=self._scheme)
        if target is None:
            return None
        place = endpoint(target)
        return next((url for url in self._order if endpoint(url) == place), target)

    def _name(self, url: str) -> None:
        self._put_first(url)
        self._named = url

    def _put_first(self, url: str) -> None:
        if url in self._order:
            self._order.remove(url)
        self._order.insert(0, url)
        self._lost = False
        learnt = [each for each in self._order if each not in self._configured]
        for forgotten in learnt[LEARNT_MAX:]:
            self._order.remove(forgotten)
            self._tried.pop(forgotten, None)
            self._silent.discard(forgotten)
