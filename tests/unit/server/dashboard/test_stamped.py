from __future__ import annotations

from osqueue.config import OVERVIEW_GONE_MAX
from osqueue.server.dashboard.stamped import Stamped


def test_since_when_things_change_and_go_then_that_alone_is_told() -> None:
    things: Stamped[int] = Stamped()
    assert things.update({"a": 1, "b": 1}, 1)
    assert things.update({"a": 1, "b": 2, "c": 1}, 2)
    assert things.update({"a": 1, "c": 1}, 3)
    assert (things.since(1), things.gone_since(1)) == ({"c": 1}, ["b"])
    assert (things.since(2), things.gone_since(2)) == ({}, ["b"])
    assert (things.since(3), things.gone_since(3)) == ({}, [])


def test_update_when_all_is_as_it_was_then_nothing_is_new() -> None:
    things: Stamped[int] = Stamped()
    things.update({"a": 1}, 1)
    assert not things.update({"a": 1}, 2)
    assert things.since(1) == {}


def test_since_when_something_has_come_back_then_it_is_not_gone() -> None:
    things: Stamped[int] = Stamped()
    for version, now in enumerate([{"a": 1}, {}, {"a": 1}], 1):
        things.update(now, version)
    assert (things.since(1), things.gone_since(1)) == ({"a": 1}, [])


def test_update_when_very_many_have_gone_then_who_knows_too_little_is_told_all_anew() -> None:
    things: Stamped[int] = Stamped()
    for version in range(1, OVERVIEW_GONE_MAX + 3):
        things.update({f"t{version}": 1}, version)
    assert len(things._gone) == OVERVIEW_GONE_MAX
    assert things.known_from == 2
