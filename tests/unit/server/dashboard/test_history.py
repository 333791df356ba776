from __future__ import annotations

import pytest

from osqueue.config import HISTORY_STEP_MS, HISTORY_STEPS
from osqueue.model.tally import Tally
from osqueue.server.dashboard.history import History

from .world import START_MS, HandClock, landed


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def history(clock: HandClock) -> History:
    return History(clock)


def test_history_when_commits_land_then_each_step_tells_what_they_did(
    clock: HandClock, history: History
) -> None:
    history.committed(landed(Tally(5, 1, 2, 1, [10, 10, 900], 4), changes=9))
    history.committed(landed(Tally(submitted=1, waiting=7)))
    history.put(1_500)
    clock.passes(HISTORY_STEP_MS)
    history.committed(landed(Tally(completed=3, waiting=4)))
    told = history.since(history.first)
    assert told.from_ == START_MS
    assert (told.submitted, told.completed, told.failed, told.dead) == (
        [6, 0],
        [1, 3],
        [2, 0],
        [1, 0],
    )
    assert (told.commits, told.changes, told.depth) == ([2, 1], [10, 1], [7, 4])
    assert told.wait_p50 == [10, None]
    assert told.wait_p99 == [pytest.approx(900, rel=1 / 16), None]
    assert told.put_p50 == [pytest.approx(1.5, rel=1 / 16), None]


def test_history_when_nothing_happens_then_the_steps_are_empty_and_the_depth_stays(
    clock: HandClock, history: History
) -> None:
    history.committed(landed(Tally(submitted=2, waiting=2)))
    clock.passes(3 * HISTORY_STEP_MS)
    history.roll()
    told = history.since(history.first)
    assert told.submitted == [2, 0, 0, 0]
    assert told.depth == [2, 2, 2, 2]


def test_history_when_the_broker_leads_no_more_then_the_depth_is_not_known(
    clock: HandClock, history: History
) -> None:
    history.committed(landed(Tally(waiting=2)))
    clock.passes(HISTORY_STEP_MS)
    history.leads_no_more()
    assert history.since(history.first).depth == [2, None]


def test_history_when_hours_pass_then_an_hour_is_kept(clock: HandClock, history: History) -> None:
    for _ in range(3 * HISTORY_STEPS):
        history.committed(landed(Tally(1, 1, 1, 1, [5], 1)))
        history.put(5)
        clock.passes(HISTORY_STEP_MS)
    told = history.since(0)
    assert len(told.depth) == len(told.submitted) == HISTORY_STEPS
    assert told.from_ == (history.number - HISTORY_STEPS + 1) * HISTORY_STEP_MS
    assert len(history._over) == HISTORY_STEPS - 1


def test_history_when_a_day_passes_at_once_then_its_hour_is_empty(
    clock: HandClock, history: History
) -> None:
    history.committed(landed(Tally(submitted=1)))
    clock.passes(86_400_000)
    history.roll()
    told = history.since(0)
    assert told.submitted == [0] * HISTORY_STEPS
    assert told.from_ + (HISTORY_STEPS - 1) * HISTORY_STEP_MS == clock.wall // 5_000 * 5_000


def test_history_when_the_wall_clock_steps_a_little_then_it_goes_on(
    clock: HandClock, history: History
) -> None:
    clock.wall -= 3_000
    history.keep_time()
    assert (history.shifts, history.since(0).from_) == (0, START_MS)


@pytest.mark.parametrize("ms", [-3_600_000, 3_600_000])
def test_history_when_the_wall_clock_is_set_then_all_of_it_moves(
    clock: HandClock, history: History, ms: int
) -> None:
    history.committed(landed(Tally(submitted=1)))
    clock.passes(HISTORY_STEP_MS)
    clock.wall += ms
    history.keep_time()
    told = history.since(history.first)
    assert (history.shifts, told.from_, told.submitted) == (1, START_MS + ms, [1, 0])


def test_left_when_a_step_has_begun_then_it_is_until_its_end(
    clock: HandClock, history: History
) -> None:
    assert history.left_ms == HISTORY_STEP_MS
    clock.passes(1_200)
    assert history.left_ms == HISTORY_STEP_MS - 1_200
    clock.passes(HISTORY_STEP_MS)
    assert history.left_ms == 0
    history.roll()
    assert history.left_ms == HISTORY_STEP_MS - 1_200
