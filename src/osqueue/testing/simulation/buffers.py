"""The law of buffers: nothing that anybody keeps in memory, or in the store, grows without bound.

While all goes wrong, each buffer stays within its limit; most hold no more than is asked for at
that moment. When the world has been well for a while and all work is done, they are empty again,
whatever has happened before: a process has as many tasks and timers as after its start, and the
payload objects are those that a job names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from osqueue.client.brokers import LEARNT_MAX
from osqueue.client.following import Footprint as ClientFootprint
from osqueue.config import WORKERS_KNOWN_MAX, BrokerSettings, WorkerSettings
from osqueue.core import QueueCore
from osqueue.engine.payloads import DISCARDS_MAX, STRAY_MAX
from osqueue.testing.simulation.hosts.broker import SimulatedBroker
from osqueue.testing.simulation.laws.law import expect
from osqueue.testing.simulation.laws.objects import Objects
from osqueue.testing.simulation.machine.loop import Census
from osqueue.testing.simulation.surroundings import Surroundings
from osqueue.testing.simulation.users.user import User
from osqueue.testing.simulation.users.worker import SimulatedWorker
from osqueue.worker.running import Footprint

__all__ = ["Buffers"]

OWN_PENDING_MAX: Final = 500
"""What an engine asks of itself, and callers that have gone: the bound is for callers that stay."""

UNDER_WAY_MAX: Final = 200
"""Tasks, and timers, of a process beside those for requests and jobs: a sweeper's, mostly."""

AT_REST_MAX: Final = 12
"""The same when there is nothing to do but to wait."""

EACH_MAX: Final = 4
"""Tasks, and timers, for one request or one job: who works on it, what is waited for, who keeps
it."""

STALE_MAX: Final = 64 * 8
"""Entries of tables that stand for nothing, beyond as many as there are jobs: 64 of each table."""

NO_WORKER: Final = Footprint(held=0, running=0, unsent=0, progress=0)
NO_CLIENT: Final = ClientFootprint(brokers=0, connections=0, under_way=0, watched=0)


class Buffers:
    """Looks at all that the processes of a world keep."""

    def __init__(
        self,
        around: Surroundings,
        objects: Objects,
        *,
        brokers: Iterable[SimulatedBroker],
        users: Iterable[User],
        settings: BrokerSettings,
    ) -> None:
        self._around = around
        self._objects = objects
        self._brokers = list(brokers)
        self._users = [user for user in users if not user.in_company]
        self._settings = settings

    def look(self) -> None:
        """What holds at any time. Raises `BrokenLawError`."""
        census = self._around.loop.census()
        for broker in self._brokers:
            if _runs(broker) and broker.core is not None:
                asked = self._asked_of(broker)
                _expect_few(broker, census[broker.process.life], UNDER_WAY_MAX, asked)
                self._expect_bounded(broker, broker.core)
        for user in self._users:
            if _runs(user):
                held = self._expect_worker_bounded(user)
                _expect_few(user, census[user.process.life], UNDER_WAY_MAX, held)
                self._expect_client_bounded(user)

    def expect_rest(self) -> None:
        """What holds when all is done. Raises `BrokenLawError`."""
        census = self._around.loop.census()
        for broker in self._brokers:
            if _runs(broker) and broker.core is not None:
                asked = self._asked_of(broker)
                _expect_few(broker, census[broker.process.life], AT_REST_MAX, asked)
                self._expect_empty(broker, broker.core, asked)
        for user in self._users:
            if _runs(user):
                works = isinstance(user, SimulatedWorker)
                kept, way = _kept(user), self._way(user)
                most = AT_REST_MAX * (works + user.never_rests * user.at_once)
                most += way.watched  # who has just answered is watched for a while yet
                _expect_few(user, census[user.process.life], most, kept.held)
                _expect_no_more(user, "reports", kept.unsent + kept.progress, 2 * kept.held)
                asking = 2 * works + user.never_rests * user.at_once
                _expect_no_more(user, "requests", way.under_way, asking)
        self._objects.expect_named()

    def _asked_of(self, broker: SimulatedBroker) -> int:
        """How many requests a broker is at, with those for streams."""
        return len(self._around.callers.at(broker.process.life)) + len(broker.pipes)

    def _expect_bounded(self, broker: SimulatedBroker, core: QueueCore) -> None:
        kept, settings = core.engine.footprint(), self._settings
        claims = self._around.callers.claims_at(broker.process.life) + len(broker.pipes)
        most = settings.commit.pending_ops_max + OWN_PENDING_MAX
        jobs = self._objects.jobs
        rooms = settings.payloads.in_bytes_max + settings.payloads.out_bytes_max
        _expect_no_more(broker, "claims that wait", kept.waiting, claims)
        _expect_no_more(broker, "claims under way", kept.claims, claims)
        _expect_no_more(broker, "requests for a commit", kept.pending, most)
        _expect_no_more(
            broker, "bytes for a commit", kept.pending_bytes, settings.commit.pending_bytes_max
        )
        _expect_no_more(broker, "ends", kept.remembered, settings.limits.dedupe_max)
        _expect_no_more(broker, "stale entries", kept.stale, jobs + STALE_MAX)
        _expect_no_more(broker, "payload objects to delete", kept.discards, DISCARDS_MAX)
        _expect_no_more(broker, "payload objects to look at", kept.strays, STRAY_MAX)
        _expect_no_more(broker, "bytes of payloads", kept.room_taken, rooms)
        _expect_no_more(broker, "workers", len(core.service.workers), WORKERS_KNOWN_MAX)

    def _expect_empty(self, broker: SimulatedBroker, core: QueueCore, asked: int) -> None:
        kept, limits = core.engine.footprint(), self._settings.limits
        since_us = self._around.loop.now_us - 2_000 * limits.orphan_after_ms
        handed_out = self._objects.handed_out(since_us)
        _expect_no_more(broker, "requests for a commit", kept.pending, asked + 1)
        _expect_no_more(broker, "calls of the store", kept.store_calls, 2)
        _expect_no_more(broker, "payload objects to delete", kept.discards, 0)
        strays = kept.strays if core.engine.status().ready else 0  # whoever leads sweeps for others
        _expect_no_more(broker, "payload objects to look at", strays, 0)
        _expect_no_more(broker, "bytes of payloads", kept.room_taken, 0)
        _expect_no_more(broker, "stale entries", kept.stale, self._objects.jobs + STALE_MAX)
        _expect_no_more(broker, "answers on their way", core.service.deliveries, handed_out)

    def _expect_worker_bounded(self, user: User) -> int:
        """Answers how many jobs it holds."""
        kept, load = _kept(user), user.load
        most = load.concurrency + load.prefetch + WorkerSettings().finishing_max
        _expect_no_more(user, "handlers", kept.running, load.concurrency)
        _expect_no_more(user, "jobs", kept.held, most)
        _expect_no_more(user, "reports", kept.unsent, 2 * kept.held)
        _expect_no_more(user, "notes of progress", kept.progress, kept.held)
        return kept.held

    def _expect_client_bounded(self, user: User) -> None:
        kept, brokers = self._way(user), len(self._brokers) + LEARNT_MAX
        _expect_no_more(user, "brokers", kept.brokers, brokers)
        _expect_no_more(user, "connections", kept.connections, 2 * brokers)
        _expect_no_more(user, "brokers under watch", kept.watched, 2 * brokers)
        most = EACH_MAX * user.at_once + _kept(user).unsent
        _expect_no_more(user, "requests", kept.under_way, most)

    def _way(self, user: User) -> ClientFootprint:
        way = self._around.ways.get(user.process.name)
        return NO_CLIENT if way is None else way.footprint


def _runs(place: SimulatedBroker | User) -> bool:
    """Whether it lives, and is not in the middle of something."""
    return place.process.alive and not place.process.paused and not place.process.life.ready


def _kept(user: User) -> Footprint:
    worker = user.worker if isinstance(user, SimulatedWorker) else None
    return (None if worker is None else worker.footprint) or NO_WORKER


def _expect_few(place: SimulatedBroker | User, census: Census, most: int, busy: int) -> None:
    """Tasks and timers, with those for so many requests or jobs."""
    _expect_no_more(place, "tasks", census.tasks, most + EACH_MAX * busy)
    _expect_no_more(place, "timers", census.timers, most + EACH_MAX * busy)


def _expect_no_more(place: SimulatedBroker | User, what: str, there: int, most: int) -> None:
    expect(there <= most, "%s keeps %s %s, and %s at most", place.process.name, there, what, most)
