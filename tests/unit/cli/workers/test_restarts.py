"""When a process that has ended is started again."""

from __future__ import annotations

from osqueue.cli.workers.restarts import PAUSE_MAX_S, STEADY_S, Restarts


def test_pause_when_it_dies_early_again_and_again_then_it_grows_up_to_its_bound() -> None:
    restarts = Restarts()
    assert [restarts.pause_s(1) for _ in range(5)] == [0.5, 1, 2, 4, 8]
    assert [restarts.pause_s(1) for _ in range(2_000)][-1] == PAUSE_MAX_S


def test_pause_when_it_lived_for_long_then_none_and_begun_anew() -> None:
    restarts = Restarts()
    for _ in range(5):
        restarts.pause_s(1)
    assert restarts.pause_s(STEADY_S) == 0
    assert restarts.pause_s(1) == 0.5
