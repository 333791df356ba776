"""How often a leader writes that has nothing to say, and how it tells those who watch."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from osqueue.config import LeadershipSettings

from .conftest import Start
from .harness import Trace

INTERVAL, IDLE, TIMEOUT = 3_000, 60_000, 10_000
YOUNG = 10 * TIMEOUT
DAY = 86_400_000


def beats(t: Trace, ms: int) -> list[int]:
    """When it writes, of itself, in so long a time."""
    until, at = t.now.mono + ms, []
    while t.now.mono < until:
        t.runs(max(1, min(t.wake, until) - t.now.mono))
        if t.todo:
            at.append(t.now.mono)
            t.ok()
    return at


def every(t: Trace) -> int:
    """Within what time the object says that its leader writes again."""
    interval: int = json.loads(t.data)["heartbeatEvery"]
    return interval


def gaps(at: list[int]) -> set[int]:
    return {later - sooner for sooner, later in pairwise(at)}


def test_leader_when_alone_and_idle_for_a_day_then_it_costs_under_1500_writes(lead: Start) -> None:
    t = lead()
    assert 1_400 < len(beats(t, DAY)) < 1_500


def test_leader_when_new_then_it_beats_at_its_interval_for_ten_timeouts(lead: Start) -> None:
    t = lead()
    assert gaps(beats(t, YOUNG)) == {INTERVAL}
    assert every(t) == INTERVAL


def test_leader_when_no_longer_new_and_not_watched_then_it_beats_once_a_minute(lead: Start) -> None:
    t = lead()
    beats(t, YOUNG + IDLE)
    assert every(t) == IDLE
    assert gaps(beats(t, 10 * IDLE)) == {IDLE}


def test_leader_when_watched_then_it_beats_at_once_and_at_its_interval(lead: Start) -> None:
    t = lead()
    beats(t, YOUNG + IDLE)
    t.pause(10_000)
    t.watched()
    assert t.asks_for() == ["Write"]
    t.ok()
    assert every(t) == INTERVAL
    assert gaps(beats(t, TIMEOUT)) == {INTERVAL}


def test_leader_when_watched_no_more_then_it_slows_down_only_after_it_has_said_so(
    lead: Start,
) -> None:
    t = lead()
    beats(t, YOUNG + IDLE)
    t.watched()
    promised, since = INTERVAL, t.now.mono
    for _ in range(30):
        t.ok() if t.todo else None
        (at, *_) = beats(t, promised + 1)
        assert at - since <= promised + 1
        promised, since = every(t), at
    assert promised == IDLE


@pytest.mark.parametrize("asked_every", [1_000, INTERVAL, 2 * TIMEOUT])
def test_leader_when_watched_all_the_time_then_it_never_slows_down(
    lead: Start, asked_every: int
) -> None:
    t = lead()
    at: list[int] = []
    for _ in range(20 * TIMEOUT // asked_every):
        t.watched()
        at += beats(t, asked_every)
    assert gaps(at) == {INTERVAL}


def test_leader_when_jobs_come_then_each_commit_is_a_heartbeat(lead: Start) -> None:
    t = lead()
    for number in range(20):
        t.submit(f"a{number}")
        t.ok()
        assert beats(t, INTERVAL - 500) == []


def test_leader_when_its_interval_is_longer_than_the_idle_one_then_that_holds(lead: Start) -> None:
    slow = LeadershipSettings(heartbeat_interval_ms=90_000, heartbeat_timeout_ms=270_000)
    t = lead(leadership=slow)
    assert gaps(beats(t, 20 * 270_000)) == {90_000}


def test_status_when_commits_land_then_their_rate_and_age_are_told(lead: Start) -> None:
    t = lead()
    for number in range(40):
        t.submit(f"a{number}")
        t.ok()
        t.runs(100)
    assert 3.5 <= t.committer.pulse.commits_per_s(t.now.mono) <= 4.5
    assert t.committer.pulse.age_ms(t.now.mono) == 100
    t.passes(60_000)
    assert t.committer.pulse.commits_per_s(t.now.mono) == 0


def test_status_when_commits_come_faster_than_are_counted_then_the_rate_is_right(
    lead: Start,
) -> None:
    t = lead()
    for number in range(600):
        t.submit(f"a{number}")
        t.ok()
        t.runs(10)
    assert 95 <= t.committer.pulse.commits_per_s(t.now.mono) <= 105
