"""One run: a world of brokers and their users, what goes wrong in it, and what must hold.

First everything goes wrong that is on the list. Then the world heals: every process runs, nothing
is cut off or lost any more, nobody submits. From then on, all work must be done within a bounded
time.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Final

import msgspec

from osqueue.config import BrokerSettings, PayloadSettings, QueueLimits
from osqueue.testing.simulation.buffers import Buffers
from osqueue.testing.simulation.checks import Checks
from osqueue.testing.simulation.faults.storm import RESTART_S, Storm
from osqueue.testing.simulation.hosts.broker import SimulatedBroker
from osqueue.testing.simulation.hosts.sharer import SimulatedSharer
from osqueue.testing.simulation.laws.law import BrokenLawError, expect
from osqueue.testing.simulation.machine.apart import apart
from osqueue.testing.simulation.machine.loop import SimulatedLoop, StuckError
from osqueue.testing.simulation.machine.trace import heard
from osqueue.testing.simulation.plan import Plan
from osqueue.testing.simulation.surroundings import Surroundings
from osqueue.testing.simulation.users.careless import Careless
from osqueue.testing.simulation.users.closer import Closer
from osqueue.testing.simulation.users.follower import Follower
from osqueue.testing.simulation.users.manager import Manager
from osqueue.testing.simulation.users.operator import Operator
from osqueue.testing.simulation.users.planner import Planner
from osqueue.testing.simulation.users.producer import Producer
from osqueue.testing.simulation.users.reader import Reader
from osqueue.testing.simulation.users.scheduler import Scheduler
from osqueue.testing.simulation.users.streamer import Streamer
from osqueue.testing.simulation.users.user import User
from osqueue.testing.simulation.users.waiter import Waiter
from osqueue.testing.simulation.users.worker import SimulatedWorker

__all__ = ["Report", "simulate"]

DRAIN_S: Final = 150.0
"""How long it may take from then on until all work is done: a lease may have to run out, retries
have their pauses, and the archive gathers for a while."""

LATE_S: Final = 75.0
"""How long it may take until what runs by then has ended, and what comes after it: a clock that was
wrong may have put work off until the last moment.
"""

REST_S: Final = 45.0
"""How long it then takes until all has come to rest: claims that wait at a broker which leads no
more are given up, what was handed out counts as arrived, and connections are watched for a while.
"""

CALM_S: Final = 20.0
"""How much of it is so calm that everybody is answered at once."""

SETTLE_US: Final = 12_000_000
"""How long after it has healed the world is well: calls of the store that will never be answered
are waited for until then, and a place that was lost has a new leader."""

PEACE_S: Final = (15.0, 30.0)
"""How long after it has healed each worker is stopped as it should be, and started again."""

INLINE_MAX: Final = 1_024
"""Bytes of the payloads that stand in the state: a larger one is an object."""

LOOK_S: Final = 1.0
"""How often what needs no event is looked at."""


class Report(msgspec.Struct, kw_only=True):
    """What came of a run. ``violation`` says how the first law did not hold that was broken;
    ``law`` is the same for all that break it.
    """

    plan: Plan
    violation: str | None
    law: str | None
    virtual_s: float
    steps: int
    requests: int
    commits: int
    jobs: int
    happened: Counter[str]
    fingerprint: str
    trace: list[str]


def simulate(plan: Plan, *, traced: bool = False) -> Report:
    """Run it. ``traced``: with the trace and its fingerprint also when all laws held."""
    return apart(partial(_World, plan), partial(_World.told, traced=traced))


def _users(plan: Plan, around: Surroundings, checks: Checks) -> list[User]:
    """All who use the queue, each in a process of its own."""
    return [
        *(Producer(around, f"producer-{n + 1}", checks, plan.load) for n in range(plan.producers)),
        *(
            SimulatedWorker(around, f"worker-{n + 1}", checks, plan.load)
            for n in range(plan.workers)
        ),
        Operator(around, "operator", checks, plan.load),
        Scheduler(around, "scheduler", checks, plan.load),
        Reader(around, "reader", checks, plan.load),
        Planner(around, "planner", checks, plan.load),
        Waiter(around, "waiter", checks, plan.load),
        Follower(around, "follower", checks, plan.load),
        Careless(around, "careless", checks, plan.load),
        Manager(around, "manager", checks, plan.load),
        *([Streamer(around, "streamer", checks, plan.load)] if plan.streamed else []),
    ]


class _World:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.around = around = Surroundings(plan.seed)
        settings = BrokerSettings(
            limits=QueueLimits(archived=True, payload_inline_max=INLINE_MAX),
            payloads=PayloadSettings(sweep_first_ms=1_000, sweep_every_ms=1_000),
        )
        self.checks = checks = Checks(around, settings.limits)
        self.brokers = [
            SimulatedBroker(around, f"broker-{n}", settings) for n in range(1, plan.brokers + 1)
        ]
        self.users = _users(plan, around, checks)
        self.closer = Closer(around, "closer", checks, plan.load)
        self.sharers = self._share(settings) if plan.sharers else []
        self.buffers = Buffers(
            around, checks.objects, brokers=self.brokers, users=self.users, settings=settings
        )
        processes = [broker.process for broker in self.brokers]
        processes += [sharer.process for sharer in self.sharers]
        processes += [user.process for user in self.users]
        self.processes = {process.name: process for process in processes}
        workers = [
            user for user in self.users if isinstance(user, SimulatedWorker) and not user.in_company
        ]
        self.storm = Storm(around, [*self.brokers, *self.sharers], self.processes, workers)

    @property
    def loop(self) -> SimulatedLoop:
        return self.around.loop

    def _share(self, settings: BrokerSettings) -> list[SimulatedSharer]:
        """The processes without a broker, with their users; the first has most of these."""
        around, number = self.around, self.plan.sharers
        working = [user for user in self.users if isinstance(user, Producer | SimulatedWorker)]
        looking = [user for user in self.users if isinstance(user, Operator | Reader)]
        if not self.brokers:  # all others need one
            self.users = [*working, *looking]
            self.closer.by_broker = False
            closing = SimulatedSharer(around, "closer", settings, [self.closer])
            closing.gone = partial(around.loop.outside, closing.process.start, after_s=RESTART_S)
        return [
            SimulatedSharer(
                around,
                f"sharer-{n + 1}",
                settings,
                [*working[n::number], *(looking if n == 0 else [])],
            )
            for n in range(number)
        ]

    def told(self, *, traced: bool) -> Report:
        """Run it, and report."""
        return self.report(self.run(), traced=traced)

    def run(self) -> BrokenLawError | None:
        """The first law that does not hold."""
        around = self.around
        try:
            with heard(around.trace, around.loop):
                self._weather_storm()
                self._drain()
        except BrokenLawError as error:
            found = error
        except StuckError as error:
            found = BrokenLawError("the world stands still: %s", error)
        else:
            return None
        around.trace.note("checks", "%s", found)
        return found

    def report(self, found: BrokenLawError | None, *, traced: bool) -> Report:
        around, checks = self.around, self.checks
        return Report(
            plan=self.plan,
            violation=None if found is None else str(found),
            law=None if found is None else found.law,
            virtual_s=around.loop.now_us / 1_000_000,
            steps=around.loop.steps,
            requests=checks.requests,
            commits=checks.line.versions,
            jobs=len(checks.known),
            happened=around.happened + around.network.happened + around.store.happened,
            fingerprint=around.trace.fingerprint() if traced else "",
            trace=list(around.trace.lines()) if traced or found else [],
        )

    def _weather_storm(self) -> None:
        around = self.around
        late = {broker.process.name for broker in self.brokers}
        for name in self.processes:
            after_s = around.dice.about(0.05) + (self.plan.brokers_at_s if name in late else 0)
            around.loop.outside(partial(self.storm.start, name), after_s=after_s)
        self.storm.plan(self.plan.disturbances)
        while around.loop.now_us < self.plan.storm_s * 1_000_000:
            self._go_on()

    def _drain(self) -> None:
        loop = self.around.loop
        for user in self.users:
            user.working = isinstance(user, SimulatedWorker)
        loop.outside(self.storm.heal)
        self.checks.line.well_us = loop.now_us + SETTLE_US
        for user in self.users:
            if isinstance(user, SimulatedWorker) and not user.in_company:
                stop = partial(self.storm.stop_in_peace, user.process.name)
                loop.outside(stop, after_s=self.around.dice.between(*PEACE_S))
        loop.outside(self.closer.process.start)
        self._go_on_until_drained(DRAIN_S)
        if self.checks.last_call():
            self._go_on_until_drained(LATE_S)
        self.checks.expect_end()
        expect(not self._sharing(), "%s share the queue beside a broker", self._sharing())
        self._rest()

    def _go_on_until_drained(self, most_s: float) -> None:
        until_us = self.loop.now_us + int(most_s * 1_000_000)
        while not (self.checks.drained and not self._sharing()) and self.loop.now_us < until_us:
            self._go_on()

    def _sharing(self) -> list[str]:
        """Who has not yet left the queue to the broker that came, though he works all the time."""
        if not self.brokers:
            return []
        return [each.process.name for each in self.sharers if each.works and each.met is None]

    def _rest(self) -> None:
        """All is done: nobody waits in vain, and nothing is kept for nothing."""
        loop = self.around.loop
        until_us = loop.now_us + int(REST_S * 1_000_000)
        while loop.now_us < until_us:
            self._go_on()
            if until_us - loop.now_us < CALM_S * 1_000_000:
                self.around.callers.expect_calm()
        self.buffers.expect_rest()

    def _go_on(self) -> None:
        loop = self.around.loop
        loop.run(until_s=loop.now_us / 1_000_000 + LOOK_S)
        self.checks.raise_found()
        self.around.callers.look(LOOK_S)
        self.buffers.look()
