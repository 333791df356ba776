"""One run: a world of brokers and their users, what goes wrong in it, and what must hold.

First everything goes wrong that is on the list. Then the world heals: every process runs, nothing
is cut off or lost any more, nobody submits. From then on, all work must be done within a bounded
time.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from osqueue.config import BrokerSettings, PayloadSettings, QueueLimits
from osqueue.testing.simulation.brokers import SimulatedBroker
from osqueue.testing.simulation.bucket import BUCKET
from osqueue.testing.simulation.checks import Checks
from osqueue.testing.simulation.clients import (
    Closer,
    Load,
    Operator,
    Producer,
    Reader,
    SimulatedWorker,
    User,
)
from osqueue.testing.simulation.dice import Dice
from osqueue.testing.simulation.disturbances import Disturbance, drawn
from osqueue.testing.simulation.laws import BrokenLawError
from osqueue.testing.simulation.loop import StuckError
from osqueue.testing.simulation.scheduling import Scheduler
from osqueue.testing.simulation.storm import Storm
from osqueue.testing.simulation.surroundings import Surroundings
from osqueue.testing.simulation.trace import heard

__all__ = ["Plan", "Report", "plan_of", "simulate"]

STORM_S: Final = 180.0
"""How long things go wrong."""

DRAIN_S: Final = 150.0
"""How long it may take from then on until all work is done: a lease may have to run out, retries
have their pauses, and the archive gathers for a while."""

INLINE_MAX: Final = 1_024
"""Bytes of the payloads that stand in the state: a larger one is an object."""

LOOK_S: Final = 1.0
"""How often what needs no event is looked at."""


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that decides what happens in a run."""

    seed: int
    brokers: int = 2
    producers: int = 2
    workers: int = 2
    storm_s: float = STORM_S
    load: Load = Load()
    disturbances: tuple[Disturbance, ...] = ()


class Report(msgspec.Struct, kw_only=True):
    """What came of a run. ``violation`` is the first law that did not hold."""

    plan: Plan
    violation: str | None
    virtual_s: float
    steps: int
    requests: int
    commits: int
    jobs: int
    happened: Counter[str]
    fingerprint: str
    trace: list[str]


def plan_of(seed: int) -> Plan:
    """The run that a seed stands for."""
    dice = Dice(seed, "plan")
    brokers, producers, workers = dice.whole(1, 3), dice.whole(1, 3), dice.whole(1, 3)
    others = [f"producer-{n}" for n in range(1, producers + 1)]
    others += [f"worker-{n}" for n in range(1, workers + 1)]
    others += ["operator", "scheduler", "reader"]
    load = _load(dice, producers, workers)
    storm = drawn(
        dice,
        brokers=[f"broker-{n}" for n in range(1, brokers + 1)],
        others=others,
        bucket=BUCKET,
        until_s=STORM_S,
    )
    return Plan(
        seed=seed,
        brokers=brokers,
        producers=producers,
        workers=workers,
        load=load,
        disturbances=tuple(storm),
    )


def _load(dice: Dice, producers: int, workers: int) -> Load:
    """As much as the workers can do in half of the time, or in less."""
    every_s, takes_s = dice.pick((0.7, 1.0, 2.0)), dice.pick((0.05, 0.5, 2.0))
    demand = Load(submit_every_s=every_s, takes_s=takes_s).demand
    return Load(
        submit_every_s=producers * every_s,
        takes_s=takes_s,
        concurrency=dice.whole(1, 3) * (1 + int(2 * demand / workers)),
        prefetch=dice.pick((0, 0, 4)),
        timeout_ms=dice.pick((10_000, 40_000)),
    )


def simulate(plan: Plan, *, traced: bool = False) -> Report:
    """Run it. ``traced``: with the trace and its fingerprint also when all laws held."""
    world: _World | None = _World(plan)
    assert world is not None
    loop = world.around.loop
    try:
        return world.report(world.run(), traced=traced)
    finally:
        world = None
        loop.close()


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
        self.users: list[User] = [
            *(
                Producer(around, f"producer-{n + 1}", checks, plan.load)
                for n in range(plan.producers)
            ),
            *(
                SimulatedWorker(around, f"worker-{n + 1}", checks, plan.load)
                for n in range(plan.workers)
            ),
            Operator(around, "operator", checks, plan.load),
            Scheduler(around, "scheduler", checks, plan.load),
            Reader(around, "reader", checks, plan.load),
        ]
        self.closer = Closer(around, "closer", checks, plan.load)
        processes = [broker.process for broker in self.brokers]
        processes += [user.process for user in self.users]
        self.processes = {process.name: process for process in processes}
        self.storm = Storm(around, self.brokers, self.processes)

    def run(self) -> str | None:
        """The first law that does not hold."""
        around = self.around
        try:
            with heard(around.trace, around.loop):
                self._weather_storm()
                self._drain()
        except (BrokenLawError, StuckError) as error:
            violation = f"{type(error).__name__}: {error}"
            around.trace.note("checks", "%s", violation)
            return violation
        return None

    def report(self, violation: str | None, *, traced: bool) -> Report:
        around, checks = self.around, self.checks
        return Report(
            plan=self.plan,
            violation=violation,
            virtual_s=around.loop.now_us / 1_000_000,
            steps=around.loop.steps,
            requests=checks.requests,
            commits=checks.line.versions,
            jobs=len(checks.known),
            happened=around.happened + around.network.happened + around.store.happened,
            fingerprint=around.trace.fingerprint() if traced else "",
            trace=list(around.trace.lines()) if traced or violation else [],
        )

    def _weather_storm(self) -> None:
        around = self.around
        for process in self.processes.values():
            around.loop.outside(process.start, after_s=around.dice.about(0.05))
        self.storm.plan(self.plan.disturbances)
        while around.loop.now_us < self.plan.storm_s * 1_000_000:
            self._go_on()

    def _drain(self) -> None:
        loop = self.around.loop
        for user in self.users:
            user.working = isinstance(user, SimulatedWorker)
        loop.outside(self.storm.heal)
        loop.outside(self.closer.process.start)
        until_us = loop.now_us + int(DRAIN_S * 1_000_000)
        while not self.checks.drained and loop.now_us < until_us:
            self._go_on()
        self.checks.expect_end()

    def _go_on(self) -> None:
        loop = self.around.loop
        loop.run(until_s=loop.now_us / 1_000_000 + LOOK_S)
        self.checks.raise_found()
