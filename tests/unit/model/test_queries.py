from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET, Raw

from osqueue.model import queries
from osqueue.model.ops import GetJob, GetState, GetStats, GetTypes, ListJobs
from osqueue.model.outcomes import BadCursor, Counts, JobView, NotFound, Page, Types

from .driver import Driver, noted


def listed(queue: Driver, limit: int = 100, cursor: str | None = None, **wanted: Any) -> Page:
    page = queue.do(ListJobs(limit, cursor, **wanted))
    assert isinstance(page, Page)
    return page


def listed_ids(page: Page) -> list[str]:
    return [view.id for view in page.jobs]


def walked(queue: Driver, limit: int, **wanted: Any) -> list[list[str]]:
    pages, cursor = [], None
    while True:
        page = listed(queue, limit, cursor, **wanted)
        pages.append(listed_ids(page))
        cursor = page.next_cursor
        if cursor is None:
            return pages


def test_job_when_unclaimed_then_what_was_submitted() -> None:
    queue = Driver()
    at = queue.now.wall
    queue.submit("a", type="t", payload=Raw(b"[1]"), max_attempts=4, priority=-3, run_at=at + 9)
    assert queue.do(GetJob("a")) == JobView(
        id="a",
        status="unclaimed",
        type="t",
        payload=Raw(b"[1]"),
        created_at=at,
        attempts=0,
        max_attempts=4,
        priority=-3,
        run_at=at + 9,
    )


def test_job_when_running_then_its_worker_and_heartbeat_but_not_its_lease() -> None:
    queue = Driver()
    queue.submit("a")
    (grant,) = queue.claim(worker="w7")
    view = queue.view("a")
    assert (view.status, view.worker_id, view.heartbeat) == ("in_progress", "w7", queue.now.wall)
    assert grant.lease not in repr(view)


def test_job_when_dead_then_its_last_error_and_no_worker() -> None:
    queue = Driver()
    queue.submit("a")
    queue.claim()
    queue.fail("a", retry=False)
    view = queue.view("a")
    assert (view.status, view.attempts, view.last_error) == ("dead", 1, noted())
    assert (view.worker_id, view.heartbeat, view.ended_at) == (None, None, None)


def test_job_when_ended_then_how_and_when_without_payload() -> None:
    queue = Driver()
    queue.submit("a", type="t", payload=Raw(b"1"))
    queue.claim(worker="w7")
    queue.passes(5)
    queue.complete("a", worker="w7")
    view = queue.view("a")
    assert (view.status, view.ended_at, view.worker_id) == ("completed", queue.now.wall, "w7")
    assert (view.payload, view.heartbeat) == (UNSET, None)


def test_job_when_a_delayed_one_was_cancelled_then_the_same_before_and_after_a_restart() -> None:
    queue = Driver()
    queue.submit("a", run_at=queue.now.wall + 50)
    queue.cancel("a")
    before = queue.view("a")
    queue.reload()
    assert queue.view("a") == before


def test_job_when_its_details_are_gone_then_only_how_it_ended() -> None:
    queue = Driver(finished_max=0)
    queue.submit("a", type="t")
    queue.cancel("a")
    assert queue.do(GetJob("a")) == JobView(id="a", status="cancelled", ended_at=queue.now.wall)


def test_job_when_unknown_then_not_found() -> None:
    assert Driver().do(GetJob("a")) == NotFound("a")


def test_stats_when_jobs_are_in_all_states_then_each_is_counted() -> None:
    queue = Driver()
    queue.state.header.broker = "h:1"
    queue.submit("a", "b", "c", "d")
    queue.claim(most=3)
    queue.complete("a")
    queue.fail("b", retry=False)
    queue.submit("e", run_at=queue.now.wall + 1)
    wanted = Counts(
        unclaimed=2,
        in_progress=1,
        dead=1,
        delayed=1,
        completed_total=1,
        dead_total=1,
        broker="h:1",
    )
    assert queue.do(GetStats()) == queue.do(GetState()) == wanted


def test_stats_when_a_delay_has_ended_then_the_job_is_not_delayed() -> None:
    queue = Driver()
    queue.submit("a", run_at=queue.now.wall + 10)
    assert queue.counts().delayed == 1
    queue.passes(10)
    assert queue.counts().delayed == 0
    assert queue.counts().unclaimed == 1


def test_page_when_a_delay_has_ended_then_the_job_is_not_delayed() -> None:
    queue = Driver()
    queue.submit("a", run_at=queue.now.wall + 10)
    queue.passes(10)
    page = listed(queue)
    assert page.counts.delayed == 0
    assert page.jobs[0].run_at is None


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_page_when_walked_through_then_each_job_once_in_order_of_arrival(limit: int) -> None:
    queue = Driver()
    ids = [f"j{number}" for number in range(7)]
    queue.submit(*ids)
    pages = walked(queue, limit)
    assert [job_id for page in pages for job_id in page] == ids
    assert all(len(page) == limit for page in pages[:-1])
    assert len(pages) == -(-7 // limit)


def test_page_when_it_is_the_last_and_full_then_no_cursor() -> None:
    queue = Driver()
    queue.submit("a", "b")
    assert listed(queue, 2).next_cursor is None
    assert listed(queue, 1).next_cursor is not None


def test_page_when_empty_then_no_jobs_and_the_counts() -> None:
    queue = Driver()
    assert listed(queue) == Page(queue.counts(), (), None)


def test_page_when_filtered_then_only_jobs_of_that_status_and_type() -> None:
    queue = Driver()
    for number in range(6):
        queue.submit(f"j{number}", type="ab"[number % 2])
    queue.claim("a", most=2)
    assert listed_ids(listed(queue, type="a")) == ["j0", "j2", "j4"]
    assert listed_ids(listed(queue, status="in_progress")) == ["j0", "j2"]
    assert listed_ids(listed(queue, status="unclaimed", type="a")) == ["j4"]
    assert walked(queue, 1, status="unclaimed", type="b") == [["j1"], ["j3"], ["j5"]]
    assert listed_ids(listed(queue, status="dead")) == []


def test_page_when_jobs_leave_between_pages_then_none_is_shown_twice_or_skipped() -> None:
    queue = Driver()
    queue.submit("a", "b", "c", "d")
    page = listed(queue, 2)
    queue.cancel("b")
    queue.cancel("c")
    queue.submit("e")
    assert listed_ids(listed(queue, 2, page.next_cursor)) == ["d", "e"]


def test_page_when_little_matches_then_it_stops_looking_and_goes_on_from_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queries, "LIST_SCAN_MAX", 3)
    queue = Driver()
    for number in range(8):
        queue.submit(f"j{number}", type="rare" if number == 6 else "")
    assert walked(queue, 5, type="rare") == [[], [], ["j6"]]


@pytest.mark.parametrize(
    "cursor", ["", "5", "g", "g.", "g.x", "g.-1", "g.+1", "g.1_0", "g.\u0663", "h.1", "g.1.2", ".1"]
)
def test_page_when_the_cursor_is_of_another_listing_then_refused(cursor: str) -> None:
    queue = Driver()
    queue.submit("a")
    assert queue.do(ListJobs(10, cursor)) == BadCursor()


def test_page_when_the_state_is_opened_anew_then_earlier_cursors_are_refused() -> None:
    queue = Driver()
    queue.submit("a", "b")
    cursor = listed(queue, 1).next_cursor
    queue.state.generation = "h"
    assert queue.do(ListJobs(10, cursor)) == BadCursor()


def test_page_when_the_cursor_lies_behind_everything_then_an_empty_page() -> None:
    queue = Driver()
    queue.submit("a")
    assert listed_ids(listed(queue, 10, "g." + "9" * 200)) == []


def types_of(queue: Driver) -> list[str]:
    found = queue.do(GetTypes())
    assert isinstance(found, Types)
    assert len(set(found.names)) == len(found.names)
    return sorted(found.names)


def test_types_when_asked_for_then_of_jobs_in_every_state_but_ended_ones() -> None:
    queue = Driver()
    assert types_of(queue) == []
    for job_type in ("dead", "ended", "held"):
        queue.submit(job_type, type=job_type)
        queue.claim(job_type)
    queue.fail("dead", retry=False)
    queue.complete("ended")
    queue.submit("a", type="delayed", run_at=queue.now.wall + 9)
    queue.submit("b", type="ready")
    queue.submit("c", type="ready")
    queue.submit("d")
    assert types_of(queue) == ["dead", "delayed", "held", "ready"]


def test_types_when_there_are_very_many_then_some_and_ready_ones_however_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queries, "LIST_SCAN_MAX", 2)
    monkeypatch.setattr(queries, "TYPES_KNOWN_MAX", 3)
    queue = Driver()
    for number in range(4):
        queue.submit(f"late-{number}", type=f"late-{number}", run_at=queue.now.wall + 9)
    assert types_of(queue) == ["late-0", "late-1"]
    queue.submit("now", type="now")
    assert types_of(queue) == ["late-0", "late-1", "now"]
    queue.submit("too", type="too")
    assert len(types_of(queue)) == 3
