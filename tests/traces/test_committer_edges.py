"""Every edge of the table of phases, each by a trace that walks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from osqueue.engine.committer import PHASES, Phase

from .conftest import Start
from .harness import Trace
from .objects import edited, older, taken_over

Edge: TypeAlias = tuple[Phase, Phase]
READY, WRITING, BACKING_OFF = Phase.READY, Phase.WRITING, Phase.BACKING_OFF
READING_BACK, SAVING, ENDED = Phase.READING_BACK, Phase.SAVING, Phase.ENDED


def nothing(_t: Trace) -> None:
    """It stays as it began."""


def writes(t: Trace) -> None:
    t.submit("a")


def backs_off(t: Trace) -> None:
    writes(t)
    t.unclear()


def reads_back(t: Trace) -> None:
    writes(t)
    t.conflicts()


def is_overwritten(t: Trace) -> None:
    t.puts(older(t.data))


def checks(t: Trace) -> None:
    """A read that has to be confirmed: the object is looked at."""
    t.runs(1_500)
    t.stats(consistent=True)


def finds_edit(t: Trace) -> None:
    t.puts(edited(t.data, paused=True))
    t.checks()


def finds_overwritten(t: Trace) -> None:
    is_overwritten(t)
    t.checks()


def reads_rival(t: Trace) -> None:
    t.puts(taken_over(t.data, epoch=1_000))
    t.reads()


def again(t: Trace) -> None:
    t.runs(3_000)


def fails_twice(t: Trace) -> None:
    t.fails_to_read()
    t.runs(3_000)


def lands_unheard(t: Trace) -> None:
    writes(t)
    t.lands(t.write)
    t.conflicts()


def overwritten_meanwhile(t: Trace) -> None:
    reads_back(t)
    is_overwritten(t)


def saves(t: Trace) -> None:
    overwritten_meanwhile(t)
    t.reads()


EDGES: dict[Edge, tuple[Callable[[Trace], None], Callable[[Trace], object]]] = {
    (READY, WRITING): (nothing, writes),
    (READY, READY): (checks, finds_edit),
    (READY, SAVING): (checks, finds_overwritten),
    (READY, ENDED): (nothing, Trace.abandon),
    (WRITING, READY): (writes, Trace.ok),
    (WRITING, BACKING_OFF): (writes, Trace.unclear),
    (WRITING, READING_BACK): (writes, Trace.conflicts),
    (WRITING, ENDED): (writes, Trace.abandon),
    (BACKING_OFF, WRITING): (backs_off, again),
    (BACKING_OFF, ENDED): (backs_off, Trace.abandon),
    (READING_BACK, READING_BACK): (reads_back, fails_twice),
    (READING_BACK, BACKING_OFF): (reads_back, Trace.reads),
    (READING_BACK, READY): (lands_unheard, Trace.reads),
    (READING_BACK, SAVING): (overwritten_meanwhile, Trace.reads),
    (READING_BACK, ENDED): (reads_back, reads_rival),
    (SAVING, ENDED): (saves, lambda t: t.saves("kept")),
}


def test_edges_when_compared_with_the_table_then_each_has_a_trace() -> None:
    assert EDGES.keys() == PHASES.keys()


@pytest.mark.parametrize("edge", PHASES, ids=lambda edge: f"{edge[0]} to {edge[1]}")
def test_edge_when_walked_then_the_committer_goes_that_way(lead: Start, edge: Edge) -> None:
    begin, walk = EDGES[edge]
    t = lead()
    begin(t)
    assert t.phase is edge[0]
    walked: list[Edge] = []
    enter = t.committer._enter

    def note(phase: Phase) -> None:
        walked.append((t.phase, phase))
        enter(phase)

    t.committer._enter = note  # type: ignore[method-assign] # to see which way it goes
    walk(t)
    assert walked[0] == edge


def test_first_write_when_the_store_refuses_it_then_it_ends_from_there(start: Start) -> None:
    t = start()
    assert t.phase is WRITING
    t.unapplied("403 denied")
    assert t.phase is ENDED
