from __future__ import annotations

from osqueue.engine.serving import ServingClock


def clock() -> ServingClock:
    return ServingClock(1_000, pause_ms_max=100)


def test_serving_when_ticks_come_in_time_then_it_runs_with_the_clock() -> None:
    serving = clock()
    times = [serving.read(at, due=at, unresolved_since=None) for at in (1_000, 1_500, 9_000)]
    assert times == [1_000, 1_500, 9_000]


def test_serving_when_a_tick_is_a_little_late_then_nothing_is_lost() -> None:
    assert clock().read(2_100, due=2_000, unresolved_since=None) == 2_100


def test_serving_when_a_tick_is_late_then_that_time_does_not_count() -> None:
    serving = clock()
    assert serving.read(60_000, due=2_000, unresolved_since=None) == 2_000
    assert serving.read(60_500, due=60_500, unresolved_since=None) == 2_500


def test_serving_when_the_wake_was_before_the_last_reading_then_only_the_gap_is_lost() -> None:
    serving = clock()
    serving.read(5_000, due=5_000, unresolved_since=None)
    assert serving.read(6_000, due=2_000, unresolved_since=None) == 5_000


def test_serving_when_no_wake_was_asked_for_then_nothing_is_taken_for_a_pause() -> None:
    assert clock().read(60_000, due=None, unresolved_since=None) == 60_000


def test_serving_when_the_store_is_unresolved_then_it_stands_from_then_on() -> None:
    serving = clock()
    assert serving.read(3_000, due=3_000, unresolved_since=2_000) == 2_000
    assert serving.read(4_000, due=4_000, unresolved_since=2_000) == 2_000
    assert serving.read(4_500, due=4_500, unresolved_since=None) == 2_500


def test_serving_when_unresolved_and_late_then_the_time_is_taken_away_once() -> None:
    assert clock().read(60_000, due=1_500, unresolved_since=1_200) == 1_200


def test_serving_when_it_becomes_unresolved_later_than_now_then_nothing_is_lost() -> None:
    assert clock().read(3_000, due=3_000, unresolved_since=4_000) == 3_000


def test_serving_when_read_again_and_again_then_it_never_goes_back() -> None:
    serving, last = clock(), 0
    for at in range(1_000, 20_000, 130):
        unresolved = 5_000 if 5_000 < at < 9_000 else None
        now = serving.read(at, due=at - at % 700, unresolved_since=unresolved)
        assert now >= last
        last = now
