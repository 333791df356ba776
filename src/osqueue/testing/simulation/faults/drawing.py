"""Draws what goes wrong in a run from its seed: little or much, often several things at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from msgspec.structs import replace

from osqueue.testing.simulation.faults.disturbances import LEADER, NET, STORE, Disturbance, Kind
from osqueue.testing.simulation.faults.hands import HANDS
from osqueue.testing.simulation.machine.dice import Dice

__all__ = [
    "cut_from_bucket",
    "drawn",
    "drawn_by_strangers",
    "drawn_for_users",
    "left_again",
    "with_hands",
    "with_machines",
]

MACHINES: Final = 0.3
"""How many runs have a leader, or one who stands by, whose machine stands still for longer than any
time-out: where there is no other broker, that must cost no worker its leases."""


def with_machines(
    happen: Sequence[Disturbance], dice: Dice, *, brokers: Sequence[str], until_s: float
) -> list[Disturbance]:
    """The same, with some of the pauses being of whole machines, and sometimes a long one more."""
    paused = [
        replace(each, share=dice.between(0, 1)) if each.kind is Kind.PAUSE else each
        for each in happen
    ]
    if not dice.chance(MACHINES):
        return paused
    at_s, for_s = dice.between(10.0, until_s - 60.0), dice.between(32.0, 60.0)
    paused.append(Disturbance(Kind.PAUSE, at_s, for_s, dice.pick(brokers), share=1.0))
    return sorted(paused, key=_began)


PEOPLE: Final = 0.3
"""How many runs have somebody who works at the object by hand, again and again for a while."""

SITTING_S: Final = (20.0, 60.0)
"""For how long."""

DEED_EVERY_S: Final = 4.0
"""About how often he changes something then."""


def with_hands(happen: Sequence[Disturbance], dice: Dice, *, until_s: float) -> list[Disturbance]:
    """The same; in some runs with somebody who adds, removes and revives jobs by hand."""
    if not dice.chance(PEOPLE):
        return [*happen]
    at_s = dice.between(10.0, until_s - SITTING_S[1])
    end_s = at_s + dice.between(*SITTING_S)
    deeds: list[Disturbance] = []
    while at_s < end_s:
        deeds.append(Disturbance(dice.pick(tuple(HANDS)), at_s))
        at_s += dice.about(DEED_EVERY_S)
    return sorted([*happen, *deeds], key=_began)


def _began(it: Disturbance) -> float:
    return it.at_s


TOGETHER: Final = 0.4
"""How often one disturbance follows another closely: most faults need two of them to do harm."""

TOGETHER_S: Final = 0.5

SPANS_S: Final = (1.0, 10.0, 40.0)
"""How long somebody is paused or cut off, or the store away, about: shorter than any time-out, or
longer than a lease."""

TAKEOVER_S: Final = (10.0, 20.0)
"""How long a leader has to be silent for another one to take over, and that not long ago."""

STALLS: Final = 1 / 3
"""How often a store that is away stands still with all calls in it."""

SPLITS: Final = 0.1
"""How often it is the whole network that falls apart."""

SPLIT_S: Final = 30.0
"""For how long, about: longer than it takes until another broker leads."""

STRANGE: Final = 0.15
"""How many runs have somebody else's hand on the object, who knows of no epochs, or deletes it."""

AWAY_S: Final = 40.0
"""How long a broker is away that others take a queue back from."""


def drawn(
    dice: Dice, *, brokers: Sequence[str], others: Sequence[str], bucket: str, until_s: float
) -> list[Disturbance]:
    """The disturbances of a run: few or many, and often several at about the same time."""
    every_s = dice.pick((5.0, 10.0, 20.0, 60.0))
    happen: list[Disturbance] = []
    at_s = 3.0 + dice.about(every_s)
    while at_s < until_s:
        happen += _some_more(dice, at_s, brokers, others, bucket)
        at_s += dice.about(TOGETHER_S if dice.chance(TOGETHER) else every_s)
    return happen


def _some_more(
    dice: Dice, at_s: float, brokers: Sequence[str], others: Sequence[str], bucket: str
) -> list[Disturbance]:
    if dice.chance(SPLITS):
        return _split(dice, at_s, brokers, others, bucket)
    return [_one(dice, at_s, brokers, others, bucket)]


def cut_from_bucket(
    happen: Sequence[Disturbance], among: Sequence[str], bucket: str
) -> list[Disturbance]:
    """Where two are cut off from each other that do not talk, cut one off from the bucket."""
    return [
        replace(each, other=bucket) if each.who in among and each.other in among else each
        for each in happen
    ]


def left_again(
    dice: Dice, broker: str, others: Sequence[str], *, from_s: float
) -> list[Disturbance]:
    """A broker that came dies for a while, and others are started again in the meantime."""
    at_s = from_s + 2.0 + dice.about(8.0)
    steps, share = dice.whole(1, 400), dice.between(0, 1)
    happen = [Disturbance(Kind.CRASH, at_s, AWAY_S, broker, share=share, steps=steps)]
    return happen + [
        Disturbance(Kind.STOP, at_s + dice.between(0, AWAY_S / 2), who=each)
        for each in others
        if dice.chance(0.7)
    ]


def drawn_by_strangers(dice: Dice, *, until_s: float) -> list[Disturbance]:
    """What those do who have no business with the object; mostly nothing."""
    if not dice.chance(STRANGE):
        return []
    kind = dice.pick((Kind.OLDER_WRITER, Kind.OLDER_WRITER, Kind.OBJECT_GONE))
    at_s, for_s = dice.between(5.0, until_s - 10.0), dice.between(0, 8.0)
    return [Disturbance(kind, at_s, for_s, share=dice.between(0, 1))]


def drawn_for_users(
    dice: Dice, *, workers: Sequence[str], others: Sequence[str], until_s: float
) -> list[Disturbance]:
    """What befalls the users beside that: workers are stopped as they should be, and the others are
    paused, and die.
    """
    draws: tuple[Callable[[Dice, float], Disturbance], ...] = (
        partial(_stop, among=workers),
        partial(_pause, among=others),
        partial(_crash, among=others),
    )
    every_s = dice.pick((15.0, 40.0, 120.0))
    happen: list[Disturbance] = []
    at_s = 3.0 + dice.about(every_s)
    while at_s < until_s:
        happen.append(dice.pick(draws)(dice, at_s))
        at_s += dice.about(every_s)
    return happen


def _one(
    dice: Dice, at_s: float, brokers: Sequence[str], others: Sequence[str], bucket: str
) -> Disturbance:
    brokers = (*brokers, *(LEADER for _ in brokers))
    everybody = (*brokers, *others)
    draws: tuple[Callable[[Dice, float], Disturbance], ...] = (
        *(partial(_some, STORE, (0.02, 0.1, 0.3, 0.7)),) * 3,
        *(partial(_some, NET, (0.02, 0.1, 0.3)),) * 2,
        partial(_cut, brokers=brokers, others=others, bucket=bucket),
        _store_away,
        partial(_pause, among=everybody),
        partial(_pause, among=others),
        partial(_crash, among=everybody),
        partial(_stop, among=brokers),
        partial(_by_people, among=(*brokers, *others)),
    )
    return dice.pick(draws)(dice, at_s)


def _some(kinds: Sequence[Kind], shares: Sequence[float], dice: Dice, at_s: float) -> Disturbance:
    return Disturbance(dice.pick(kinds), at_s, dice.about(8.0), share=dice.pick(shares))


def _store_away(dice: Dice, at_s: float) -> Disturbance:
    kind = dice.pick((Kind.STORE_DOWN, Kind.STORE_SILENT))
    if dice.fork(f"stalls at {at_s:.6f}").chance(STALLS):
        kind = Kind.STORE_STALL
    return Disturbance(kind, at_s, dice.about(dice.pick(SPANS_S)), share=1.0)


def _pause(dice: Dice, at_s: float, *, among: Sequence[str]) -> Disturbance:
    for_s = dice.pick((dice.about(dice.pick(SPANS_S)), dice.between(*TAKEOVER_S)))
    return Disturbance(Kind.PAUSE, at_s, for_s, dice.pick(among))


def _stop(dice: Dice, at_s: float, *, among: Sequence[str]) -> Disturbance:
    return Disturbance(Kind.STOP, at_s, dice.about(5.0), dice.pick(among))


def _cut(
    dice: Dice, at_s: float, *, brokers: Sequence[str], others: Sequence[str], bucket: str
) -> Disturbance:
    who = dice.pick((*brokers, *others))
    other = dice.pick([each for each in (*brokers, bucket, bucket) if each != who])
    kind = dice.pick((Kind.CUT, Kind.CUT_ONE_WAY))
    if kind is Kind.CUT_ONE_WAY and dice.chance(0.5):
        who, other = other, who
    return Disturbance(kind, at_s, dice.about(dice.pick(SPANS_S)), who, other)


def _split(
    dice: Dice, at_s: float, brokers: Sequence[str], others: Sequence[str], bucket: str
) -> list[Disturbance]:
    """The network falls apart. One or two have no other broker left than one, and that one nothing
    but them; or all but them are turned away by the leader, so that another one takes its place; or
    the leader hears no more from the store, and what it writes still comes there.
    """
    for_s, broker = dice.about(SPLIT_S), dice.pick(brokers)
    few = (dice.pick(others), dice.pick(others))
    rest = [each for each in (*brokers, *others) if each not in few]
    match dice.whole(1, 3):
        case 1:
            there = [each for each in (*rest, bucket) if each != broker]
            cuts = [(broker, each) for each in there]
            cuts += [(each, other) for each in few for other in there if other in brokers]
            return [Disturbance(Kind.CUT, at_s, for_s, *cut) for cut in cuts]
        case 2:
            return [Disturbance(Kind.REFUSE, at_s, for_s, each, LEADER) for each in rest]
        case _:
            return [Disturbance(Kind.CUT_ONE_WAY, at_s, for_s, bucket, LEADER)]


def _crash(dice: Dice, at_s: float, *, among: Sequence[str]) -> Disturbance:
    return Disturbance(
        Kind.CRASH,
        at_s,
        dice.about(4.0),
        dice.pick(among),
        share=dice.between(0, 1),
        steps=dice.whole(1, 400),
    )


def _by_people(dice: Dice, at_s: float, *, among: Sequence[str]) -> Disturbance:
    if dice.chance(0.5):
        return Disturbance(dice.fork(f"hand at {at_s:.6f}").pick(tuple(HANDS)), at_s)
    by_ms = dice.pick((-3_600_000, -60_000, -5_000, 5_000, 60_000, 3_600_000))
    return Disturbance(Kind.CLOCK_STEP, at_s, who=dice.pick(among), steps=by_ms)
