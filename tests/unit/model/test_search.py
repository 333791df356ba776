"""Which jobs a filter means, and that looking for them has an end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from osqueue.model import queries
from osqueue.model.ops import Fail, FindJobs, JobFilter, LeaseRef, ListDead, ListEnded, ListJobs
from osqueue.model.outcomes import BadCursor, DeadLetters, EndedJobs, Found, Page

from .driver import Driver, state_json


def found(queue: Driver, **wanted: str) -> list[str]:
    outcome = queue.do(FindJobs(100, None, JobFilter(**wanted)))
    assert isinstance(outcome, Found)
    assert outcome.next_cursor is None
    return list(outcome.ids)


def page(queue: Driver, limit: int, cursor: str | None = None, **wanted: Any) -> Page:
    outcome = queue.do(ListJobs(limit, cursor, **wanted))
    assert isinstance(outcome, Page)
    return outcome


def ids(listed: Page | EndedJobs) -> list[str]:
    return [view.id for view in listed.jobs]


def fail(queue: Driver, job_id: str, **error: str) -> None:
    told = Raw(json.dumps({"type": "E", "message": "", **error}).encode())
    queue.do(Fail("w", LeaseRef(job_id), told, False, 0))


@pytest.fixture
def queue() -> Driver:
    """One job in each place that a job can be in."""
    queue = Driver()
    queue.submit("ready")
    queue.submit("delayed", run_at=queue.now.wall + 1_000)
    queue.submit("held", "dead", type="mail")
    queue.claim("mail", most=2, worker="Worker-7")
    queue.do(Fail("Worker-7", LeaseRef("dead"), Raw(b'{"type":"E","message":"no"}'), False, 0))
    return queue


@pytest.mark.parametrize(
    ("status", "meant"),
    [
        ("unclaimed", ["ready", "delayed"]),
        ("ready", ["ready"]),
        ("delayed", ["delayed"]),
        ("in_progress", ["held"]),
        ("dead", ["dead"]),
        ("completed", []),
    ],
)
def test_find_when_of_a_status_then_those_there(
    queue: Driver, status: str, meant: list[str]
) -> None:
    assert found(queue, status=status) == meant
    assert ids(page(queue, 100, status=status)) == meant


def test_find_when_a_delay_has_ended_then_the_job_is_ready(queue: Driver) -> None:
    queue.passes(1_000)
    assert found(queue, status="ready") == ["ready", "delayed"]
    assert found(queue, status="delayed") == []


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("EAD", ["ready", "dead"]),
        ("MAIL", ["held", "dead"]),
        ("worker-7", ["held"]),
        ("", ["ready", "delayed", "held", "dead"]),
        (".*", []),
        ("[a-z]", []),
        ("\x00", []),
        ("\U0001d54f" * 200, []),
    ],
)
def test_find_when_of_a_text_then_where_it_stands_as_it_is(
    queue: Driver, text: str, meant: list[str]
) -> None:
    assert found(queue, text=text) == meant


def test_find_when_all_is_said_then_all_must_be_true(queue: Driver) -> None:
    assert found(queue, status="dead", type="mail", text="dead") == ["dead"]
    assert found(queue, status="dead", type="mail", text="held") == []
    assert found(queue, status="dead", type="", text="dead") == []


@pytest.mark.parametrize(
    ("message", "text", "meant"),
    [
        ("Straße 7", "STRASSE", True),
        ("ΣΊΣΥΦΟΣ", "σίσυφος", True),
        ("Käse", "kÄSE", True),
        ('a "quoted"\nline \\ é', 'A "QUOTED"\nLINE \\ É', True),
        ("a.b", "a?b", False),
        ("Käse", "kase", False),
    ],
)
def test_find_when_an_error_has_the_text_then_cases_are_alike(
    message: str, text: str, *, meant: bool
) -> None:
    queue = Driver()
    queue.submit("j")
    queue.claim()
    fail(queue, "j", message=message, traceback="no such thing")
    assert found(queue, text=text) == ["j"] * meant
    assert found(queue, text="such thing") == []  # of the traceback
    assert found(queue, text='"message"') == []


def test_find_when_the_type_of_an_error_has_the_text_then_found() -> None:
    queue = Driver()
    queue.submit("j")
    queue.claim()
    fail(queue, "j", type="TimeoutError")
    assert found(queue, text="timeouterr") == ["j"]


@pytest.mark.parametrize("error", ["of plain Text", 5, ["Text"], {"message": 7, "x": "Text"}])
def test_find_when_another_implementation_wrote_the_error_then_looked_through_as_it_is(
    error: object,
) -> None:
    job = {"id": "j", "status": "dead", "createdAt": 1, "attempts": 1, "lastError": error}
    queue = Driver(state_json(job))
    assert found(queue, text="no such") == []
    assert found(queue, text="text") == ["j"] * ("Text" in json.dumps(error))


def walked(queue: Driver, limit: int, **wanted: Any) -> list[list[str]]:
    pages, cursor = [], None
    while True:
        listed = page(queue, limit, cursor, **wanted)
        pages.append(ids(listed))
        cursor = listed.next_cursor
        if cursor is None:
            return pages


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("jobs", [0, 1, 7, 64, 65])
def test_page_when_the_newest_come_first_then_the_reverse_of_the_other(
    limit: int, jobs: int
) -> None:
    queue = Driver()
    queue.submit(*[f"j{number}" for number in range(jobs)])
    forward, backward = walked(queue, limit), walked(queue, limit, newest_first=True)
    flat = [job_id for each in backward for job_id in each]
    assert flat == [f"j{number}" for number in reversed(range(jobs))]
    assert [len(each) for each in backward] == [len(each) for each in forward]


def test_page_when_jobs_come_meanwhile_then_the_newest_first_does_not_show_one_twice() -> None:
    queue = Driver()
    queue.submit("a", "b", "c", "d")
    first = page(queue, 2, newest_first=True)
    queue.submit("e")
    queue.cancel("b")
    second = page(queue, 2, first.next_cursor, newest_first=True)
    assert (ids(first), ids(second), second.next_cursor) == (["d", "c"], ["a"], None)


def test_page_when_the_job_that_the_cursor_names_has_gone_then_it_goes_on_behind_it() -> None:
    queue = Driver()
    queue.submit("a", "b", "c", "d")
    older, newer = page(queue, 1), page(queue, 1, newest_first=True)
    queue.cancel("b")
    queue.cancel("c")
    assert ids(page(queue, 1, older.next_cursor)) == ["d"]
    assert ids(page(queue, 1, newer.next_cursor, newest_first=True)) == ["a"]


def test_page_when_the_cursor_is_of_the_other_direction_then_refused() -> None:
    queue = Driver()
    queue.submit("a", "b", "c")
    older, newer = page(queue, 1), page(queue, 1, newest_first=True)
    assert queue.do(ListJobs(1, older.next_cursor, newest_first=True)) == BadCursor()
    assert queue.do(ListJobs(1, newer.next_cursor)) == BadCursor()
    assert queue.do(FindJobs(1, newer.next_cursor)) == BadCursor()


@pytest.mark.parametrize("cursor", ["", "-", "g.-", "g.x-", "g.1--", "g.-1-", "h.1-", "g.\u0663-"])
def test_page_when_the_newest_first_is_asked_with_a_strange_cursor_then_refused(
    cursor: str,
) -> None:
    queue = Driver()
    queue.submit("a")
    assert queue.do(ListJobs(1, cursor, newest_first=True)) == BadCursor()


def test_page_when_there_is_no_other_match_then_no_cursor_even_if_there_are_jobs() -> None:
    queue = Driver()
    queue.submit("a", "b", "c")
    assert page(queue, 1, text="a").next_cursor is None


def test_page_when_the_filter_changes_between_pages_then_it_goes_on_from_there() -> None:
    queue = Driver()
    queue.submit("a1", "b1", "a2", "b2")
    first = page(queue, 1, text="a")
    assert ids(page(queue, 9, first.next_cursor, text="b")) == ["b2"]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("text", ["there is no such text", "j999", "j0"])
def test_page_when_little_matches_a_text_then_short_pages_until_the_end(
    monkeypatch: pytest.MonkeyPatch, text: str, *, newest_first: bool
) -> None:
    monkeypatch.setattr(queries, "LIST_SCAN_MAX", 1_000)
    queue = Driver()
    queue.submit(*[f"j{number}" for number in range(1_000)])
    pages = walked(queue, 10, text=text, newest_first=newest_first)
    assert 3 < len(pages) < 8  # each has looked at about 250
    found_ids = [job_id for each in pages for job_id in each]
    assert found_ids == ([text] if text in {"j999", "j0"} else [])


def test_page_when_errors_are_long_then_fewer_jobs_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queries, "LIST_SCAN_MAX", 10_000)
    queue = Driver()
    jobs = [f"j{number}" for number in range(200)]
    queue.submit(*jobs)
    queue.claim(most=200)
    for job_id in jobs[:100]:
        fail(queue, job_id, message="m" * 8_192, traceback="t" * 8_192)
    for job_id in jobs[100:]:
        fail(queue, job_id)
    long, short = page(queue, 9, text="none"), page(queue, 9, text="none", newest_first=True)
    assert (long.jobs, short.jobs) == ((), ())
    assert long.next_cursor is not None
    looked_at = int(long.next_cursor.rpartition(".")[2]) + 1
    assert 0 < looked_at <= 64
    assert short.next_cursor is not None
    assert 200 - int(short.next_cursor.rpartition(".")[2][:-1]) > 100


def ended(queue: Driver, limit: int = 100, first: str | None = None, **wanted: str) -> EndedJobs:
    outcome = queue.do(ListEnded(limit, first, JobFilter(**wanted)))
    assert isinstance(outcome, EndedJobs)
    return outcome


@pytest.fixture
def over() -> Driver:
    """Jobs that ended in every way, in this order: a, b, c, d."""
    queue = Driver(archived=True, dead_max=0)
    queue.submit("a", "b", "c", "d", type="t", payload=Raw(b"1"))
    queue.claim(most=2)
    queue.complete("a", result=b"[7]")
    queue.fail("b", retry=False)
    queue.cancel("c")
    queue.passes(5)
    queue.cancel("d")
    return queue


def test_ended_when_listed_then_the_last_first_without_payloads(over: Driver) -> None:
    listed = ended(over)
    assert ids(listed) == ["d", "c", "b", "a"]
    assert [each.status for each in listed.jobs] == ["cancelled", "cancelled", "dead", "completed"]
    assert listed.jobs[0].ended_at == over.now.wall
    assert bytes(listed.jobs[3].result) == b"[7]"  # type: ignore[arg-type]
    assert (listed.next_id, listed.sealed, listed.gone) == (None, None, False)


def test_ended_when_filtered_then_only_those(over: Driver) -> None:
    assert ids(ended(over, status="dead")) == ["b"]
    assert ids(ended(over, text="VALUEERROR")) == ["b"]
    assert ids(ended(over, type="t", status="cancelled")) == ["d", "c"]
    assert ids(ended(over, type="other")) == []


def test_ended_when_there_are_more_then_the_next_is_named_and_begins_the_next_page(
    over: Driver,
) -> None:
    first = ended(over, 2)
    assert (ids(first), first.next_id) == (["d", "c"], "b")
    over.submit("e")
    over.cancel("e")
    assert ids(ended(over, 2, "b")) == ["b", "a"]
    over.reload()
    assert ids(ended(over, 2, "b")) == ["b", "a"]  # whoever leads by then


def test_ended_when_the_next_has_left_then_that_is_told(over: Driver) -> None:
    over.retry("b")
    assert ended(over, 2, "b") == EndedJobs((), None, None, gone=True)


def dead(queue: Driver, **asked: Any) -> DeadLetters:
    outcome = queue.do(ListDead(**{"limit": 100, **asked}))
    assert isinstance(outcome, DeadLetters)
    return outcome


def dying(*job_ids: str, **limits: Any) -> Driver:
    queue = Driver(**limits)
    queue.submit(*job_ids)
    queue.claim(most=len(job_ids))
    for job_id in job_ids:
        queue.fail(job_id, retry=False)
    return queue


def test_dead_when_listed_then_each_with_its_error() -> None:
    queue = dying("a", "b", "c")
    queue.submit("alive")
    letters = dead(queue, limit=2)
    assert [each.id for each in letters.letters] == ["a", "b"]
    assert json.loads(bytes(letters.letters[0].error))["message"] == "no"  # type: ignore[arg-type]
    rest = dead(queue, cursor=letters.next_cursor)
    assert [each.id for each in rest.letters] == ["c"]
    assert rest.next_cursor is None


def test_dead_when_they_are_the_same_then_only_that_is_told() -> None:
    queue = dying("a", "b")
    mark = dead(queue).mark
    queue.submit("c")
    queue.claim()
    assert dead(queue, unless=mark) == DeadLetters(mark, (), None)


@pytest.mark.parametrize("change", ["retry", "cancel", "die again", "another", "leave", "reload"])
def test_dead_when_they_have_changed_then_the_mark_is_another(change: str) -> None:
    queue = dying("a", "b", archived=True, dead_max=2)
    mark = dead(queue).mark
    match change:
        case "retry" | "cancel":
            getattr(queue, change)("a")
        case "die again":
            queue.retry("a")
            queue.claim()
            queue.fail("a", retry=False)
        case "another" | "leave":
            queue.submit("c")
            queue.claim()
            queue.fail("c", retry=False)
        case _:
            queue.reload()
            queue.state.generation = "h"
    assert dead(queue, unless=mark).mark != mark
    assert dead(queue, unless=mark).letters
