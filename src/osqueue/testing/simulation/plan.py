"""A plan: all that decides what happens in a run; and the one that a seed stands for."""

from __future__ import annotations

from typing import Final

import msgspec

from osqueue.testing.simulation.faults.disturbances import Disturbance
from osqueue.testing.simulation.faults.drawing import (
    cut_from_bucket,
    drawn,
    drawn_by_strangers,
    drawn_for_users,
    left_again,
    with_hands,
    with_machines,
)
from osqueue.testing.simulation.machine.bucket import BUCKET
from osqueue.testing.simulation.machine.dice import Dice
from osqueue.testing.simulation.users.user import (
    Load,
)

__all__ = ["STORM_S", "Plan", "plan_of"]

STORM_S: Final = 180.0
"""How long things go wrong."""

STREAMED: Final = 1 / 8
"""In how many of the other worlds somebody is sent jobs by a stream."""

SHARED: Final = 1 / 8
"""How many of the worlds are without a broker, at least at first."""


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that decides what happens in a run."""

    seed: int
    brokers: int = 2
    sharers: int = 0
    """Processes that share the queue; producers and workers then live in these."""
    brokers_at_s: float = 0.0
    producers: int = 2
    workers: int = 2
    streamed: bool = False
    """Whether somebody is sent jobs by a stream."""
    storm_s: float = STORM_S
    load: Load = Load()
    disturbances: tuple[Disturbance, ...] = ()


def plan_of(seed: int) -> Plan:
    """The run that a seed stands for."""
    dice = Dice(seed, "sharing")
    if dice.chance(SHARED):
        return _shared_plan(seed, dice)
    dice = Dice(seed, "plan")
    brokers, producers, workers = dice.whole(1, 3), dice.whole(1, 3), dice.whole(1, 3)
    others = [f"producer-{n}" for n in range(1, producers + 1)]
    others += [f"worker-{n}" for n in range(1, workers + 1)]
    others += ["operator", "scheduler", "reader"]
    names = [f"broker-{n}" for n in range(1, brokers + 1)]
    streamed = Dice(seed, "streamer").chance(STREAMED)
    load = _load(dice, producers, workers)
    storm = drawn(
        dice,
        brokers=names,
        others=others,
        bucket=BUCKET,
        until_s=STORM_S,
    )
    storm = with_machines(storm, Dice(seed, "machines"), brokers=names, until_s=STORM_S)
    storm = with_hands(storm, Dice(seed, "hands"), until_s=STORM_S)
    storm += drawn_for_users(
        Dice(seed, "users"),
        workers=[f"worker-{n}" for n in range(1, workers + 1)],
        others=["planner", "waiter", "follower", "careless", "manager", *["streamer"] * streamed],
        until_s=STORM_S,
    )
    storm += drawn_by_strangers(Dice(seed, "strangers"), until_s=STORM_S)
    return Plan(
        seed=seed,
        brokers=brokers,
        producers=producers,
        workers=workers,
        streamed=streamed,
        load=load,
        disturbances=tuple(sorted(storm, key=lambda each: each.at_s)),
    )


def _shared_plan(seed: int, dice: Dice) -> Plan:
    """Some processes without a broker; in some of the worlds one comes in the middle."""
    sharers, brokers = dice.whole(2, 4), int(dice.chance(0.5))
    producers = dice.whole(1, 3)
    workers = dice.whole(max(1, sharers - producers), 3)
    load = _load(dice, producers, workers)
    names = [f"sharer-{n}" for n in range(1, sharers + 1)]
    hosts = names + [f"broker-{n}" for n in range(1, brokers + 1)]
    storm = drawn(dice, brokers=hosts, others=names, bucket=BUCKET, until_s=STORM_S)
    storm = with_hands(storm, Dice(seed, "hands"), until_s=STORM_S)
    begins_s = dice.between(0.2, 0.8) * STORM_S * brokers
    if brokers and dice.chance(0.6):
        storm += left_again(dice, hosts[-1], names, from_s=begins_s)
    storm += drawn_by_strangers(Dice(seed, "strangers"), until_s=STORM_S)
    return Plan(
        seed=seed,
        brokers=brokers,
        sharers=sharers,
        brokers_at_s=begins_s,
        producers=producers,
        workers=workers,
        load=load,
        disturbances=tuple(cut_from_bucket(storm, names, BUCKET)),
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
