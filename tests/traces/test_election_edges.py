"""Every edge of the table of roles, each by a trace that walks it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from osqueue.engine.election import TURNS, Halt, ProbeAnswer, Role, Take, Turn
from osqueue.engine.requests import EndReason

from .election_harness import ADDRESS, Watch, led_by


def standby() -> Watch:
    w = Watch(led_by("them:1"))
    w.runs(5_000)
    return w


def candidate() -> Watch:
    w = Watch(led_by(None, None))
    w.until(Take)
    return w


def leader() -> Watch:
    w = Watch(led_by(None, None))
    w.leads()
    return w


def stepping_down() -> Watch:
    w = leader()
    w.election.hand_over()
    return w


def stopping() -> Watch:
    w = leader()
    w.election.stop()
    return w


def halted() -> Watch:
    w = leader()
    w.ends(EndReason.OVERWRITTEN)
    return w


def refused(w: Watch) -> None:
    w.answers = ProbeAnswer.REFUSED
    w.until(Take)


def overwritten(w: Watch) -> None:
    w.writes(led_by("old:1", None, None))
    w.answers = ProbeAnswer.REFUSED
    w.until(Halt)


def ends(reason: EndReason) -> Callable[[Watch], None]:
    return lambda w: w.ends(reason, "them:1" if reason is EndReason.FENCED else None)


def stop(w: Watch) -> None:
    w.election.stop()


EDGES: dict[tuple[Role, Turn], tuple[Callable[[], Watch], Callable[[Watch], None]]] = {
    (Role.STANDBY, Turn.CHANCE): (standby, refused),
    (Role.STANDBY, Turn.SPOILED): (standby, overwritten),
    (Role.STANDBY, Turn.FAILED): (standby, lambda w: w.election.fail()),
    (Role.STANDBY, Turn.STOP): (standby, stop),
    (Role.CANDIDATE, Turn.WON): (candidate, lambda w: w.election.won()),
    (Role.CANDIDATE, Turn.LOST): (candidate, ends(EndReason.FENCED)),
    (Role.CANDIDATE, Turn.FAILED): (candidate, ends(EndReason.CORRUPT)),
    (Role.CANDIDATE, Turn.STOP): (candidate, stop),
    (Role.LEADER, Turn.FENCED): (leader, ends(EndReason.FENCED)),
    (Role.LEADER, Turn.SPOILED): (leader, ends(EndReason.OVERWRITTEN)),
    (Role.LEADER, Turn.FAILED): (leader, ends(EndReason.FAILED)),
    (Role.LEADER, Turn.ASKED): (leader, lambda w: w.election.hand_over()),
    (Role.LEADER, Turn.STOP): (leader, stop),
    (Role.STEPPING_DOWN, Turn.RELEASED): (stepping_down, ends(EndReason.RELEASED)),
    (Role.STEPPING_DOWN, Turn.LOST): (stepping_down, ends(EndReason.STOPPED)),
    (Role.STEPPING_DOWN, Turn.FENCED): (stepping_down, ends(EndReason.FENCED)),
    (Role.STEPPING_DOWN, Turn.SPOILED): (stepping_down, ends(EndReason.OVERWRITTEN)),
    (Role.STEPPING_DOWN, Turn.FAILED): (stepping_down, ends(EndReason.CORRUPT)),
    (Role.STEPPING_DOWN, Turn.STOP): (stepping_down, stop),
    (Role.STEPPING_DOWN, Turn.ENDED): (stopping, ends(EndReason.RELEASED)),
    (Role.HALTED, Turn.STOP): (halted, stop),
}


def test_edges_when_compared_with_the_table_then_each_has_a_trace() -> None:
    assert EDGES.keys() == TURNS.keys()


@pytest.mark.parametrize("edge", TURNS, ids=lambda edge: f"{edge[0]}, {edge[1]}")
def test_edge_when_walked_then_it_leads_where_the_table_says(edge: tuple[Role, Turn]) -> None:
    begin, walk = EDGES[edge]
    w = begin()
    assert w.role is edge[0]
    taken: list[Turn] = []
    go_on = w.election._turn

    def note(turn: Turn) -> None:
        taken.append(turn)
        go_on(turn)

    w.election._turn = note  # type: ignore[method-assign] # to see which edge it is
    walk(w)
    assert taken == [edge[1]]
    assert w.role is TURNS[edge]


@pytest.mark.parametrize(
    ("begin", "reason", "role"),
    [
        (candidate, EndReason.UNWRITABLE, Role.STANDBY),
        (candidate, EndReason.FAILED, Role.STOPPED),
        (leader, EndReason.CORRUPT, Role.STOPPED),
        (leader, EndReason.STOPPED, Role.STOPPED),
        (stopping, EndReason.FENCED, Role.STOPPED),
        (stopping, EndReason.STOPPED, Role.STOPPED),
        (stopping, EndReason.OVERWRITTEN, Role.STOPPED),
    ],
)
def test_end_when_it_comes_for_another_reason_then_the_role_fits(
    begin: Callable[[], Watch], reason: EndReason, role: Role
) -> None:
    w = begin()
    w.ends(reason)
    assert w.role is role


def test_stop_when_it_comes_twice_then_the_second_changes_nothing() -> None:
    w = standby()
    w.election.stop()
    w.election.stop()
    assert w.role is Role.STOPPED


def test_leader_when_fenced_at_its_own_address_then_the_rival_is_remembered() -> None:
    w = leader()
    w.ends(EndReason.FENCED, ADDRESS)
    assert w.role is Role.STANDBY
