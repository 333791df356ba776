"""The law of descent, on lines of versions that are written by hand."""

from __future__ import annotations

import pytest

from osqueue.testing.simulation.laws.descent import Descent, Header
from osqueue.testing.simulation.laws.law import BrokenLawError
from osqueue.testing.simulation.laws.sights import Sights

LED = Header(7, "7-3-leader", {}, "broker-1:8080")
FREE = Header(7, "7-4-leader", {}, None)
SHARED = Header(7, "7-4-shared.a", {}, None)


def follow(before: Header, now: Header, *, by_hand: bool = False) -> None:
    Descent().expect_next(now, before, by_hand=by_hand)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (LED, Header(7, "7-4-leader", {}, "broker-1:8080")),
        (LED, Header(8, "8-1-shared.a", {"7": "7-3-leader"}, None)),
        (LED, Header(8, "8-1-other", {"7": "7-3-leader"}, "broker-2:8080")),
        (FREE, Header(7, "7-5-shared.a", {"7": "7-4-leader"}, None)),
        (SHARED, Header(7, "7-5-shared.a", {}, None)),
        (SHARED, Header(7, "7-9-shared.b", {"shared.a": "7-4-shared.a"}, None)),
        (SHARED, Header(9, "9-9-shared.b", {"shared.a": "7-4-shared.a"}, None)),
        (SHARED, Header(8, "8-1-leader", {"shared.a": "7-4-shared.a"}, "broker-1:8080")),
    ],
)
def test_version_when_it_follows_then_it_stands(before: Header, now: Header) -> None:
    follow(before, now)


@pytest.mark.parametrize(
    ("before", "now", "why"),
    [
        (LED, Header(7, "7-5-leader", {}, "broker-1:8080"), "does not follow"),
        (LED, Header(7, "7-4-shared.a", {"7": "7-3-leader"}, None), "beside the broker"),
        (LED, Header(9, "9-1-shared.a", {"7": "7-3-leader"}, None), "beside the broker"),
        (LED, Header(8, "8-1-shared.a", {}, None), "notes that it stands on"),
        (LED, Header(8, "8-1-shared.a", {"7": "7-3-leader"}, "x:1"), "names a broker"),
        (LED, Header(6, "6-1-other", {"7": "7-3-leader"}, "broker-2:8080"), "epochs grow"),
        (SHARED, Header(7, "7-6-shared.a", {}, None), "does not follow"),
        (SHARED, Header(7, "7-4-shared.b", {"shared.a": "7-4-shared.a"}, None), "does not follow"),
        (SHARED, Header(7, "7-5-shared.b", {"shared.a": "7-2-shared.a"}, None), "notes that"),
        (SHARED, Header(7, "7-5-leader", {"shared.a": "7-4-shared.a"}, "x:1"), "others had"),
    ],
)
def test_version_when_it_does_not_follow_then_it_is_told(
    before: Header, now: Header, why: str
) -> None:
    with pytest.raises(BrokenLawError, match=why):
        follow(before, now)


def test_commit_when_a_person_has_written_in_between_then_it_may_have_come_to_nothing() -> None:
    follow(LED, Header(7, "7-6-leader", {}, "broker-1:8080"), by_hand=True)


def test_epoch_when_another_leads_in_it_then_it_is_told() -> None:
    line = Descent()
    line.expect_next(LED, None, by_hand=False)
    with pytest.raises(BrokenLawError, match="one leader"):
        line.expect_next(Header(7, "7-4-other", {}, "broker-2:8080"), LED, by_hand=False)


def test_epoch_when_the_line_has_gone_back_before_it_then_another_may_lead_in_it() -> None:
    line, other = Descent(), Header(7, "7-1-other", {"6": "6-9-first"}, "broker-2:8080")
    line.expect_next(Header(6, "6-9-first", {}, "broker-1:8080"), None, by_hand=False)
    line.expect_next(LED, None, by_hand=False)
    line.go_back(6)
    line.expect_next(other, None, by_hand=False)
    line.go_back(7)
    with pytest.raises(BrokenLawError, match="one leader"):
        line.expect_next(Header(7, "7-2-third", {}, "broker-3:8080"), None, by_hand=False)


def test_commit_when_it_comes_again_then_it_is_told() -> None:
    line = Descent()
    line.expect_next(LED, None, by_hand=False)
    with pytest.raises(BrokenLawError, match="comes once"):
        line.expect_next(LED, LED, by_hand=False)


def test_sight_when_seen_before_and_after_then_it_is_the_first_one_after() -> None:
    sights = Sights()
    for at_us in (10, 30, 50):
        sights.saw("a 1", at_us)
    assert sights.first_us("a 1", 20) == 30
    assert sights.first_us("a 1", 30) == 30
    assert sights.first_us("a 1", 51) is None
    assert sights.first_us("a 2", 0) is None


def test_epoch_when_one_that_has_shared_it_raises_it_then_it_is_told() -> None:
    line = Descent()
    line.expect_next(SHARED, None, by_hand=False)
    with pytest.raises(BrokenLawError, match="raises an epoch"):
        line.expect_next(Header(8, "8-5-shared.a", {}, None), SHARED, by_hand=False)
