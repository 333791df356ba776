"""The overview as it lives: what feeds it, how often it is renewed, and who reads it.

Laws: only a leader tells of a queue, and only what is durable; it is renewed at most four times a
second and at the cost of a hundredth of a processor, only while somebody reads it, and only when
something has changed or a step of the history is over; what is told is made once for all. Nothing
waits for a reader: who is slow is told later, and then of everything at once. While nobody reads,
no events are recorded, and nothing is asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from msgspec import Raw

import osqueue
from osqueue.broker.reply import Reply
from osqueue.broker.streams import Streams
from osqueue.broker.workers import KnownWorker, Workers
from osqueue.clock import Clock, Entropy
from osqueue.config import (
    OVERVIEW_ACTIVITY_MAX,
    OVERVIEW_ASK_S,
    OVERVIEW_LINGER_S,
    OVERVIEW_WORKERS_MAX,
    SURVEY_LOOKS_MAX,
)
from osqueue.engine.engine import Engine
from osqueue.engine.observer import Answered, unheard
from osqueue.engine.refusals import over_error, stopping_error
from osqueue.engine.requests import End, Landed, Publish
from osqueue.errors import (
    BrokerLeadershipError,
    EngineStateError,
    OsqueueError,
    OverloadedError,
    StoreUnavailableError,
)
from osqueue.model.events import EventKind
from osqueue.model.ops import Survey
from osqueue.model.outcomes import Surveyed
from osqueue.server.dashboard.documents import Documents, Figures, Mark, standing
from osqueue.server.dashboard.figures import (
    broker_of,
    counts_of,
    types_of,
    workers_of,
)
from osqueue.server.dashboard.history import History
from osqueue.server.dashboard.pace import Pace
from osqueue.server.dashboard.watch import Watch
from osqueue.wire.overview import OverviewBroker

__all__ = ["Live", "Place"]

logger = logging.getLogger("osqueue.server")

LEADER: Final = "leader"


class Place(NamedTuple):
    """Where it lives: the parts of the broker that it tells of."""

    engine: Engine
    streams: Streams
    store: str
    problems: Callable[[], list[str]]
    workers: Workers


class Live:
    """An `Observer` of a broker, an `Audience` of its streams, and the `Overviews` of its service.

    Of nothing, until it `settle`s.
    """

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy
        self.history = History(clock)
        self._place: Place | None = None
        self._leader_since: int | None = None
        self._documents = Documents(entropy.token(), self.history)
        self._pace = Pace()
        self._position: tuple[int, int] | None = None
        """Of the commit that the figures rest on."""
        self._outdated = True
        """Whether a commit has landed since the queue was looked at."""
        self._company: object = None
        """The workers that were heard of by then, and how many claims waited."""
        self._news = asyncio.Event()
        self._watches: dict[Watch, None] = {}
        self._polled_until = 0.0
        self._keeping: asyncio.Task[None] | None = None
        self._ended: asyncio.Task[None] | None = None
        """The one before, which may not have noticed yet."""
        self._ready = asyncio.Event()
        """Set once what is kept up to date is so, and when nothing is kept any more."""

    def settle(self, place: Place) -> None:
        """Tell of this broker from now on."""
        self._place = place
        place.streams.audience = self

    async def stop(self) -> None:
        """Tell nobody anything more. Harmless at any time."""
        self._end(stopping_error())
        if self._ended is not None:
            await asyncio.wait({self._ended})

    def __len__(self) -> int:
        return len(self._watches)

    # As an observer

    def committed(self, landed: Landed) -> None:
        self.history.committed(landed)
        self._outdated = True
        self._news.set()

    def store_called(self, kind: str, took_us: int, error: str | None) -> None:
        if kind == "put" and error is None:
            self.history.put(took_us)

    def role_changed(self, role: str, epoch: int) -> None:
        del epoch
        if role != LEADER:
            self._leader_since = None
            self.history.leads_no_more()
        elif self._leader_since is None:
            self._leader_since = self._clock.wall_ms()
            self._documents = Documents(self._entropy.token(), self.history)
            self._outdated = True
            for watch in self._watches:
                watch.begin_anew()
        self._news.set()

    @unheard
    def answered(self, answered: Answered) -> None:
        """What it changed comes with its commit."""

    @unheard
    def connected(self, transport: str) -> None:
        """Nothing that is told."""

    @unheard
    def disconnected(self, transport: str) -> None:
        """The same."""

    # As an audience

    def published(self, publish: Publish) -> None:
        events = publish.told.events
        if self._keeping is None or not events:
            return
        number = len(events)
        while number and events[number - 1].kind is EventKind.PROGRESS:
            number -= 1  # they stand at the end, and with their jobs
        first = max(0, number - OVERVIEW_ACTIVITY_MAX)
        self._documents.happened(events[first:number], number)

    def over(self, end: End) -> None:
        self._end(over_error(end))

    # As the service sees it

    async def overview(self, since: str | None) -> Reply[Raw]:
        """The document of this moment, or of a quarter of a second ago."""
        place = self._settled()
        self._polled_until = asyncio.get_running_loop().time() + OVERVIEW_LINGER_S
        try:
            await self._up_to_date()
        except (BrokerLeadershipError, EngineStateError):
            return Reply(self._standing(place), None)
        documents = self._documents
        return Reply(documents.since(documents.read(since), self._clock.wall_ms()), self._position)

    def watch(self, since: str | None) -> Watch:
        """The same, and what changes from then on."""
        place = self._settled()
        if len(self._watches) >= place.streams.subscriptions.settings.subscriptions_max:
            raise OverloadedError("too many watch the overview; close some, or try again later")
        self._keep(place)
        watch = Watch(self, self._documents.read(since))
        self._watches[watch] = None
        return watch

    # As a reader sees it

    def next(self, mark: Mark | None, *, begun: bool) -> tuple[Reply[Raw], Mark] | None:
        """What is told next to who has been told all until ``mark``; ``None``: nothing yet."""
        documents = self._documents
        if not self._ready.is_set() or (begun and mark == documents.mark):
            return None
        told = documents.since(mark, self._clock.wall_ms())
        return Reply(told, self._position), documents.mark

    def leave(self, watch: Watch) -> None:
        """Somebody reads no more."""
        self._watches.pop(watch, None)
        if not self._watches:
            self._news.set()  # so that it is noticed at once

    # How it is kept

    async def _up_to_date(self) -> None:
        """Wait until what is told is of now. Raises unless this broker leads."""
        self._keep(self._settled())
        await self._ready.wait()
        if self._keeping is None:
            self._settled().engine.expect_leading()
            raise stopping_error()

    def _keep(self, place: Place) -> None:
        """Begin to keep it up to date, unless that is done already."""
        if self._keeping is not None:
            return
        place.streams.listening.overhear(wanted=True)
        self._ready.clear()
        self._outdated = True
        loop = asyncio.get_running_loop()
        self._keeping = loop.create_task(self._keep_on(place), name="osqueue overview")

    async def _keep_on(self, place: Place) -> None:
        try:
            while self._is_read():
                began = self._clock.cpu_us()
                await self.renew(place)
                self._pace.took(self._clock.cpu_us() - began)
                self._ready.set()
                for watch in list(self._watches):
                    watch.wake()
                await asyncio.sleep(self._pace.pause_s(len(self._watches)))
                await self._something_new()
        except OsqueueError as error:
            self._end(error)
        except Exception:
            logger.exception("the overview failed inside")
            self._end(OsqueueError("the broker failed on the overview"))
        finally:
            if self._keeping is asyncio.current_task():
                self._rest(place)

    def _is_read(self) -> bool:
        return bool(self._watches) or asyncio.get_running_loop().time() < self._polled_until

    async def _something_new(self) -> None:
        """Wait until something has happened, or a step of the history is over."""
        try:
            async with asyncio.timeout(self.history.left_ms / 1_000):
                await self._news.wait()
        except TimeoutError:
            pass

    async def renew(self, place: Place) -> bool:
        """Look at the broker, and at its queue if that has changed; whether anything is new."""
        self._news.clear()
        known, waiting = self._known(place), place.engine.waiting_claims
        company = waiting, tuple([(each.id, each.seen_at // 1_000) for each in known])
        if company != self._company:  # which changes without a commit
            self._outdated, self._company = True, company
        figures = await self._figures(place, known) if self._outdated else None
        return self._documents.renew(self._broker(place), figures)

    async def _figures(self, place: Place, known: Sequence[KnownWorker]) -> Figures | None:
        """How the queue stands; ``None`` when the store does not tell in time."""
        now = self._clock.wall_ms()
        self._outdated = False
        try:
            async with asyncio.timeout(OVERVIEW_ASK_S):
                held = await place.engine.ask(Survey(tuple([each.id for each in known])))
        except (TimeoutError, OverloadedError, StoreUnavailableError):
            self._outdated = True
            return None
        surveyed, self._position = held.outcome, held.position
        assert isinstance(surveyed, Surveyed), "looking cannot be refused"
        return Figures(
            counts_of(surveyed, place.engine.waiting_claims),
            types_of(surveyed),
            workers_of(surveyed, known, now),
        )

    def _known(self, place: Place) -> Sequence[KnownWorker]:
        """The workers that are told of: of too many those that have been, as far as they stay."""
        known = place.workers.known(SURVEY_LOOKS_MAX)
        if len(known) > OVERVIEW_WORKERS_MAX:
            told = self._documents.workers
            known = sorted(known, key=lambda each: each.id not in told)
        return known[:OVERVIEW_WORKERS_MAX]

    def _broker(self, place: Place) -> OverviewBroker:
        return broker_of(
            place.engine.status(),
            now=self._clock.wall_ms(),
            leader_since=self._leader_since,
            version=osqueue.__version__,
            store=place.store,
            problems=place.problems(),
        )

    def _standing(self, place: Place) -> Raw:
        return standing(self._documents.run, self._clock.wall_ms(), self._broker(place))

    def _settled(self) -> Place:
        assert self._place is not None, "a broker has settled before it answers"
        return self._place

    def _end(self, error: OsqueueError) -> None:
        """Nobody is told anything more, for now."""
        self._polled_until = 0.0
        for watch in list(self._watches):
            watch.end(error)
        if self._keeping is not None:
            self._ended = self._keeping
            self._keeping.cancel()
            self._rest(self._settled())

    def _rest(self, place: Place) -> None:
        """It is not kept up to date any more."""
        self._keeping = None
        place.streams.listening.overhear(wanted=False)
        self._ready.set()
