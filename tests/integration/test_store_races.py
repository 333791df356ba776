"""Two processes with sixteen tasks each race for one object, and no acknowledged write is lost.

Not on moto: it gets one request at a time, so a race there shows nothing.
"""

from __future__ import annotations

from collections import Counter as Tally
from pathlib import Path

import pytest
from tests.integration.counting import make_counter, read_counter
from tests.integration.writers import Writing, writer

from osqueue.storage import open_store

TURNS = 250
RACING = Writing(counters=16, turns=TURNS)

Place = tuple[str, str]
"""The URLs of one store for the two processes."""


@pytest.fixture(
    params=[
        "directory",
        "fake_gcs",
        pytest.param("azurite", marks=pytest.mark.external),
        pytest.param("ceph", marks=pytest.mark.external),
    ]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A new store. On Ceph each process comes through a gateway of its own."""
    if request.param == "directory":
        return (f"file://{tmp_path}/store",) * 2
    server = request.getfixturevalue(request.param)
    if request.param == "ceph":
        one, other = server.new_stores()
        return one, other
    return (server.new_store(),) * 2


async def test_counting_when_processes_race_then_each_success_counts_exactly_once(
    place: Place, tmp_path: Path
) -> None:
    store = open_store(place[0])
    await make_counter(store)
    acknowledged = race(place, tmp_path)
    counter = await read_counter(store)
    await store.close()
    assert len(acknowledged) == 2 * TURNS
    assert counter.count == 2 * TURNS
    assert Tally(counter.tokens) == Tally(acknowledged)


def race(place: Place, printed: Path) -> list[str]:
    """What both processes got through."""
    with (
        writer([place[0]], RACING, printed=printed / "one") as one,
        writer([place[1]], RACING, printed=printed / "other") as other,
    ):
        for racer in (one, other):
            racer.wait_until_ready()
        for racer in (one, other):
            racer.begin()
        for racer in (one, other):
            racer.finish()
        return one.acknowledged() + other.acknowledged()
