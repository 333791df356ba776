"""Claims that take only so many of some types."""

from __future__ import annotations

import pytest

from .driver import Driver


@pytest.fixture
def queue() -> Driver:
    queue = Driver()
    for number in range(3):
        queue.submit(f"a{number}", type="a")
        queue.submit(f"b{number}", type="b")
        queue.submit(f"c{number}")
    return queue


@pytest.mark.parametrize("types", [(), ("a", "b", "")])
def test_claim_when_a_type_has_a_cap_then_no_more_of_it_and_the_order_of_the_rest(
    queue: Driver, types: tuple[str, ...]
) -> None:
    got = queue.claim_ids(*types, most=9, caps={"a": 1, "": 2})
    assert got == ["a0", "b0", "c0", "b1", "c1", "b2"]
    assert queue.claim_ids(*types, most=9) == ["a1", "a2", "c2"]


@pytest.mark.parametrize("types", [(), ("a", "b", "")])
def test_claim_when_a_type_is_capped_at_nothing_then_it_is_left_out(
    queue: Driver, types: tuple[str, ...]
) -> None:
    assert queue.claim_ids(*types, most=4, caps={"a": 0, "": 0}) == ["b0", "b1", "b2"]


@pytest.mark.parametrize("types", [(), ("a", "b", "")])
def test_claim_when_all_are_capped_at_nothing_then_it_gets_nothing(
    queue: Driver, types: tuple[str, ...]
) -> None:
    assert queue.claim_ids(*types, most=4, caps={"a": 0, "b": 0, "": 0}) == []


def test_claim_when_the_cap_is_of_a_type_that_was_not_asked_for_then_it_means_nothing(
    queue: Driver,
) -> None:
    assert queue.claim_ids("b", most=4, caps={"a": 0, "zzz": 1}) == ["b0", "b1", "b2"]


def test_claim_when_repeated_then_it_gets_what_it_holds_whatever_the_caps(queue: Driver) -> None:
    first = queue.claim("a", most=2, claim_id="c")
    assert queue.claim("a", most=2, claim_id="c", caps={"a": 0}) == first


def test_claim_when_priorities_differ_then_the_cap_keeps_the_order_of_the_others() -> None:
    queue = Driver()
    queue.submit("low", type="b", priority=5)
    queue.submit("first", "second", type="a", priority=-1)
    assert queue.claim_ids(most=9, caps={"a": 1}) == ["first", "low"]
    assert queue.claim_ids(most=9) == ["second"]
