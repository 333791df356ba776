"""What the broker pushes to observers: each commit's events, and the counts.

Laws: nothing is told before its commit is durable, nothing twice, nothing left out; the first
update of a subscription holds the counts and no events, and every later change is told. What is
told alike to several observers is one object, so it can be encoded once. Who reads too slowly is
dropped and told why: nothing waits without bound. Telling many takes its time, so it is done ever
more seldom, with all that there is by then: it never takes the broker's time from those who work.
While nobody listens, nothing is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from osqueue.broker import answers
from osqueue.broker.listening import Listening
from osqueue.broker.subscription import Subscription
from osqueue.config import TELL_SHARE, TELL_US, StreamSettings
from osqueue.engine.refusals import over_error
from osqueue.engine.requests import End, Publish
from osqueue.errors import OsqueueError, OverloadedError
from osqueue.model.outcomes import Counts
from osqueue.wire.messages import SubscribeRequest, Update

__all__ = ["Subscriptions"]

TOGETHER_S = 0.02
"""Counts that are due this soon after others are told with them."""


class Subscriptions:
    """All observers of one engine, of which it is the `Listener`."""

    def __init__(self, listening: Listening, settings: StreamSettings, *, address: str) -> None:
        self._listening = listening
        self.settings = settings
        self._address = address
        self._open: dict[Subscription, None] = {}
        self._untold: list[Publish] = []
        self._latest: Publish | None = None
        """The last commit that was told; ``None`` while none has been."""
        self._tell_at = 0.0
        """When others can be told."""
        self._pause: asyncio.TimerHandle | None = None
        """Until then."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def open(self, request: SubscribeRequest) -> Subscription:
        """Begin to tell somebody. Raises `OverloadedError`, and what an engine is refused with."""
        if len(self._open) >= self.settings.subscriptions_max:
            raise OverloadedError("too many subscriptions are open; close some, or try again later")
        self._tell()
        subscription = Subscription(request, self.settings, self.leave)
        self._open[subscription] = None
        if self._latest is not None:
            self._begin(subscription, self._first(self._latest))
        elif len(self._open) == 1:
            self._listen(subscription)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Tell somebody nothing more."""
        if self._open.pop(subscription, subscription) is None and not self._open:
            self._latest = None
            self._untold = []
            self._listening.listen(wanted=False)
            for timer in (self._timer, self._pause):
                if timer is not None:
                    timer.cancel()
            self._timer = self._pause = None

    # As the engine sees it

    def published(self, publish: Publish) -> None:
        """A commit is durable."""
        self._untold.append(publish)
        loop = asyncio.get_running_loop()
        if loop.time() >= self._tell_at:
            self._tell()
        elif self._pause is None:
            self._pause = loop.call_at(self._tell_at, self._tell)

    def over(self, end: End) -> None:
        """The broker leads no more, for now."""
        self._tell()
        self._latest = None
        for subscription in list(self._open):
            subscription.end(over_error(end))

    def _tell(self) -> None:
        """Tell everybody of what has become durable since the last time."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        untold, self._untold = self._untold, []
        if not untold:
            return
        for publish in untold:
            self._tell_of(publish)
        cost_s = len(self._open) * TELL_US / 1e6
        self._tell_at = asyncio.get_running_loop().time() + TELL_SHARE * cost_s
        self._plan()

    def _tell_of(self, publish: Publish) -> None:
        if not self._open:
            return  # the last of them was too slow
        self._latest = publish
        first = self._first(publish)
        told = _Telling(publish)
        for subscription in list(self._open):
            if not subscription.begun:
                self._begin(subscription, first)
            else:
                told.to(subscription)

    def _listen(self, first: Subscription) -> None:
        try:
            self._listening.listen(wanted=True)
        except OsqueueError:
            del self._open[first]
            raise

    def _first(self, publish: Publish) -> Update:
        return Update(stats=answers.stats(publish.told.counts, self._address), commit=_id(publish))

    def _begin(self, subscription: Subscription, first: Update) -> None:
        assert self._latest is not None, "it is what is told"
        subscription.begun = True
        subscription.count(first)
        self._count(subscription, self._latest.told.counts)

    # The counts: one timer for all

    def _count(self, subscription: Subscription, counts: Counts) -> None:
        subscription.counts = counts
        if subscription.every_s is not None:
            subscription.due_at = asyncio.get_running_loop().time() + subscription.every_s

    def _outdated(self) -> Iterator[Subscription]:
        """Who has been told other counts than there are."""
        if self._latest is not None:
            counts = self._latest.told.counts
            for each in self._open:
                if each.every_s is not None and each.begun and each.counts != counts:
                    yield each

    def _plan(self) -> None:
        """Wake when the next of them is due."""
        if self._timer is None:
            due_at = min((each.due_at for each in self._outdated()), default=None)
            if due_at is not None:
                self._timer = asyncio.get_running_loop().call_at(due_at, self._tell_counts)

    def _tell_counts(self) -> None:
        self._timer = None
        latest = self._latest
        if latest is not None:
            update = self._first(latest)
            until = asyncio.get_running_loop().time() + TOGETHER_S
            for each in [each for each in self._outdated() if each.due_at <= until]:
                each.count(update)
                self._count(each, latest.told.counts)
        self._plan()


class _Telling:
    """The updates of one commit, made once for all who want the same events."""

    def __init__(self, publish: Publish) -> None:
        self._events = publish.told.events
        self._commit = _id(publish)
        self._made: dict[frozenset[str] | None, list[Update]] = {}

    def to(self, subscription: Subscription) -> None:
        """Tell one observer its part."""
        wanted = subscription.filter
        if not wanted.events:
            return
        if self._events is None:
            why = "one commit has changed more jobs than are told of; subscribe again"
            subscription.end(OverloadedError(why))
            return
        updates = self._made.get(wanted.types)
        if updates is None:
            updates = self._made[wanted.types] = wanted.updates(self._events, self._commit)
        if updates:
            subscription.tell(updates)


def _id(publish: Publish) -> str:
    epoch, number = publish.position
    return f"{epoch}-{number}"
