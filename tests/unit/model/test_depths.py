"""How full a queue is, and since when its oldest job waits."""

from __future__ import annotations

import pytest

from osqueue.model import queries
from osqueue.model.queries import Depths, depths

from .driver import START, Driver


def figures(queue: Driver) -> Depths:
    return depths(queue.state, queue.now.wall)


def test_depths_when_jobs_are_everywhere_then_each_counts_where_it_is() -> None:
    queue = Driver()
    for job_id, type_ in (("a", "t"), ("b", "t"), ("c", "u"), ("d", "")):
        queue.submit(job_id, type=type_)
    queue.submit("later", run_at=queue.now.wall + 1_000)
    queue.claim("t")
    found = figures(queue)
    assert (found.ready, found.delayed, found.in_progress, found.dead) == (3, 1, 1, 0)
    assert found.ready_by_type == {"t": 1, "u": 1, "": 1}


def test_depths_when_paused_then_it_says_so_and_the_jobs_are_still_ready() -> None:
    queue = Driver()
    queue.submit("a")
    assert not figures(queue).paused
    queue.pause()
    found = figures(queue)
    assert (found.paused, found.ready) == (True, 1)


def test_depths_when_a_delay_has_ended_then_the_job_is_ready() -> None:
    queue = Driver()
    queue.submit("later", run_at=queue.now.wall + 1_000)
    queue.passes(1_000)
    found = figures(queue)
    assert (found.ready, found.delayed) == (1, 0)


def test_oldest_when_it_is_held_then_the_next_that_can_be_claimed() -> None:
    queue = Driver()
    queue.submit("a")
    queue.passes(5)
    queue.submit("low", priority=9)
    queue.passes(5)
    queue.submit("high", priority=-9)
    queue.claim()
    assert figures(queue).oldest_ready_ms == START.wall
    queue.claim()
    queue.submit("new", priority=-9)
    assert figures(queue).oldest_ready_ms == START.wall + 5


def test_oldest_when_nothing_is_ready_then_none() -> None:
    queue = Driver()
    assert figures(queue).oldest_ready_ms is None
    queue.submit("a")
    queue.claim()
    assert figures(queue).oldest_ready_ms is None


def test_oldest_when_too_many_stand_before_it_then_it_is_sought_among_the_next_of_each_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queries, "OLDEST_SCAN_MAX", 2)
    queue = Driver()
    for job_id in ("held-1", "held-2"):
        queue.submit(job_id, type="held")
        queue.claim()
    queue.passes(5)
    queue.submit("old", type="t")
    queue.passes(5)
    queue.submit("new", type="u")
    assert figures(queue).oldest_ready_ms == START.wall + 5
