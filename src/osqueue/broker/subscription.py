"""One observer: what waits for it, until it is read, too much, or at its end.

A reader that is too slow is dropped and told why; counts that wait are replaced by newer ones.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Self

from osqueue.broker import answers
from osqueue.config import STATS_EVERY_MS_MIN, UPDATE_EVENTS_MAX, StreamSettings
from osqueue.errors import OsqueueError, OverloadedError
from osqueue.model.events import Event
from osqueue.model.outcomes import Counts
from osqueue.wire.messages import JobEvent, SubscribeRequest, Update

__all__ = ["Filter", "Subscription"]


class Subscription:
    """What one observer is told: an asynchronous iterator, for one reader.

    It ends by raising `OverloadedError` when its reader is too slow, and `BrokerLeadershipError` or
    `EngineStateError` when this broker stops leading. `aclose` it in any case.
    """

    def __init__(
        self,
        request: SubscribeRequest,
        settings: StreamSettings,
        leave: Callable[[Subscription], None],
    ) -> None:
        self._settings = settings
        self._leave = leave
        self.filter = Filter(events=request.events, types=request.types)
        every_ms = request.stats_every_ms
        self.every_s = max(every_ms, STATS_EVERY_MS_MIN) / 1_000 if every_ms else None
        self.begun = False
        """Whether the first update has been told."""
        self.counts: Counts | None = None
        """What was told last."""
        self.due_at = 0.0
        """When other counts can be told."""
        self._updates: deque[Update] = deque()
        self._events = 0
        """How many wait in ``_updates``."""
        self._error: OsqueueError | None = None
        self._closed = False
        self._reading: asyncio.Future[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Update:
        while not self._updates:
            if self._error is not None:
                raise self._error
            if self._closed:
                raise StopAsyncIteration
            self._reading = asyncio.get_running_loop().create_future()
            await self._reading
        update = self._updates.popleft()
        self._events -= len(update.events)
        return update

    def take_ready(self) -> list[Update]:
        """All that waits already, for those who can pass on several at once."""
        updates = list(self._updates)
        self._updates.clear()
        self._events = 0
        return updates

    async def aclose(self) -> None:
        """Be told nothing more. A second time does nothing."""
        self.close()

    def close(self) -> None:
        """The same, for those who cannot wait: whoever reads comes to an end."""
        self._leave(self)
        self._closed = True
        self._updates.clear()
        self._wake()

    # As the hub sees it

    def count(self, counts: Update) -> None:
        """Tell it the counts; those that wait to be read are replaced by newer ones."""
        if self._updates and not self._updates[-1].events:
            self._updates[-1] = counts
            self._wake()
        else:
            self.tell([counts])

    def tell(self, updates: list[Update]) -> None:
        """Tell it all that one commit has changed, or drop it.

        However much that is, who has read all before gets it: it is not to blame for the size.
        """
        settings = self._settings
        events = self._events + sum(len(update.events) for update in updates)
        many = len(self._updates) + len(updates) > settings.updates_max
        if self._events and (many or events > settings.events_max):
            self.end(
                OverloadedError(
                    f"this subscription is read too slowly: {len(self._updates)} updates with "
                    f"{self._events} events were waiting; subscribe again, perhaps to fewer types"
                )
            )
            self._updates.clear()
        else:
            self._updates.extend(updates)
            self._events = events
        self._wake()

    def end(self, error: OsqueueError) -> None:
        """Let it raise this after what it has been told."""
        self._leave(self)
        self._error = self._error or error
        self._wake()

    def _wake(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)


class Filter:
    """Which events somebody wants."""

    __slots__ = ("events", "types")

    def __init__(self, *, events: bool, types: list[str] | None) -> None:
        self.events = events
        self.types = frozenset(types) if types else None

    def updates(self, told: tuple[Event, ...], commit: str) -> list[Update]:
        """The events of one commit, in updates of a bounded size."""
        types = self.types
        wanted = told if types is None else [event for event in told if event.type in types]
        step = UPDATE_EVENTS_MAX
        return [
            Update(events=[_job_event(event) for event in wanted[at : at + step]], commit=commit)
            for at in range(0, len(wanted), step)
        ]


def _job_event(event: Event) -> JobEvent:
    return JobEvent(
        kind=event.kind,
        job_id=event.job_id,
        type=event.type,
        at=event.at,
        worker_id=event.worker_id or "",
        attempt=event.attempt,
        progress=answers.progress(event.progress),
    )
