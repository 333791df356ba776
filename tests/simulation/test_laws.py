"""The laws of callers and of served time, by themselves."""

from __future__ import annotations

import pytest

from osqueue.errors import OsqueueError
from osqueue.testing.simulation.laws.callers import ANSWER_S, LEAVE_S, Arrival, Callers
from osqueue.testing.simulation.laws.law import BrokenLawError
from osqueue.testing.simulation.laws.served import UNNOTICED_US, Served
from osqueue.testing.simulation.machine.dice import Dice
from osqueue.testing.simulation.machine.exchange import Exchange
from osqueue.testing.simulation.machine.loop import Life, SimulatedLoop
from osqueue.testing.simulation.machine.process import SimulatedProcess
from osqueue.wire.operations import GET_STATS

SECOND_US = 1_000_000


def _arrived(callers: Callers, life: Life) -> Arrival:
    return callers.arrived(life, Exchange("reader", GET_STATS, None, None, 0))


def test_callers_when_one_is_answered_twice_then_the_law_is_broken() -> None:
    callers, sent = Callers(), list[object]()
    answer = _arrived(callers, Life("broker")).answering(sent.append)
    answer(OsqueueError("m"))
    callers.look(1)
    answer(OsqueueError("m"))
    with pytest.raises(BrokenLawError, match="answered 2 times"):
        callers.look(1)
    assert len(sent) == 2


def test_callers_when_one_is_dropped_then_the_law_is_broken_unless_he_or_the_broker_has_gone() -> (
    None
):
    callers, dead = Callers(), Life("dead")
    _arrived(callers, dead)
    dead.alive = False
    left = _arrived(callers, Life("broker"))
    left.cancel()
    left.over()
    callers.look(1)
    _arrived(callers, Life("broker")).over()
    with pytest.raises(BrokenLawError, match="given up"):
        callers.look(1)


def test_callers_when_one_waits_then_no_longer_than_the_time_in_which_the_broker_runs() -> None:
    callers, life = Callers(), Life("broker")
    _arrived(callers, life)
    callers.look(ANSWER_S)
    life.held = True
    callers.look(3_600)
    life.held = False
    with pytest.raises(BrokenLawError, match="not answered after"):
        callers.look(1)


def test_callers_when_one_has_left_then_his_place_is_free_soon() -> None:
    callers = Callers()
    _arrived(callers, Life("broker")).cancel()
    callers.look(LEAVE_S)
    with pytest.raises(BrokenLawError, match="keeps its place"):
        callers.look(1)


async def _nothing(_: SimulatedProcess) -> None:
    """It does nothing."""


def _leader() -> tuple[SimulatedLoop, SimulatedProcess, Served]:
    loop = SimulatedLoop(Dice(1))  # type: ignore[abstract]
    process = SimulatedProcess(loop, Dice(1), "broker", _nothing)
    served = Served()
    served.begins(process)
    loop.outside(lambda: None, after_s=1_000)
    return loop, process, served


def test_served_when_paused_or_unresolved_then_what_is_both_counts_once() -> None:
    loop, process, served = _leader()
    process.pause()
    served.unclear("broker", 2 * SECOND_US)
    loop.run(until_s=10)
    served.clear("broker", loop.now_us)
    process.resume()
    loop.run(until_s=20)
    assert served.lost_us("broker", 0, loop.now_us) == 8 * SECOND_US
    assert served.lost_us("broker", 9 * SECOND_US, loop.now_us) == SECOND_US
    assert served.lost_us("other", 0, loop.now_us) == 0


def test_served_when_a_pause_is_short_then_it_may_count_as_served() -> None:
    loop, process, served = _leader()
    process.pause()
    loop.run(until_s=3)
    assert served.lost_us("broker", 0, loop.now_us) == 0
    loop.run(until_s=30)
    assert served.lost_us("broker", 0, loop.now_us) == loop.now_us - UNNOTICED_US
