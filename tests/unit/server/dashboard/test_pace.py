"""How soon the overview is renewed again."""

from __future__ import annotations

import pytest

from osqueue.config import OVERVIEW_EVERY_S, OVERVIEW_SHARE
from osqueue.server.dashboard.pace import LONGEST_S, MEASURED, Pace


def paced(*took_us: int) -> Pace:
    pace = Pace()
    for cpu_us in took_us:
        pace.took(cpu_us)
    return pace


def test_pause_when_a_renewal_costs_little_then_as_often_as_an_eye_sees() -> None:
    assert Pace().pause_s(1) == OVERVIEW_EVERY_S
    assert paced(200).pause_s(1) == OVERVIEW_EVERY_S


def test_pause_when_a_renewal_costs_much_then_it_takes_no_more_than_its_share() -> None:
    assert paced(6_000).pause_s(1) == pytest.approx(OVERVIEW_SHARE * 0.006)


def test_pause_when_others_had_their_turn_in_between_then_only_the_least_counts() -> None:
    assert paced(6_000, 900_000, 7_000).pause_s(1) == pytest.approx(OVERVIEW_SHARE * 0.006)


def test_pause_when_it_has_come_to_cost_more_then_what_it_cost_once_is_forgotten() -> None:
    assert paced(10, *[8_000] * MEASURED).pause_s(1) == pytest.approx(OVERVIEW_SHARE * 0.008)


def test_pause_when_many_read_then_telling_them_takes_no_more_than_its_share() -> None:
    assert OVERVIEW_EVERY_S < paced(10).pause_s(2_000) < paced(10).pause_s(4_000)


def test_pause_when_all_of_it_is_dear_then_a_reader_hears_of_each_step_all_the_same() -> None:
    assert paced(10**9).pause_s(10**6) == LONGEST_S
