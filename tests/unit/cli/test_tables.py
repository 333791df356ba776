"""Jobs and counts for people."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace

from osqueue.cli import looking, tables
from osqueue.client import BrokerStatus, JobError, JobInfo, Progress, RetryPolicy, Stats


def job(**changes: object) -> JobInfo:
    fields: dict[str, object] = {
        "job_id": "01a200d4-18eb-7568-acd5-e22982bc2ce4",
        "status": "dead",
        "type": "email:send",
        "raw_payload": '{"to":"ädä"}'.encode(),
        "worker_id": None,
        "created_at": 1_700_000_000_000,
        "attempts": 2,
        "max_attempts": 5,
        "heartbeat": None,
        "priority": 0,
        "run_at": None,
        "last_error": JobError(
            type="ValueError", message="no", traceback="Trace\nValueError: no\n"
        ),
        "ended_at": None,
    }
    return JobInfo(**{**fields, **changes})  # type: ignore[arg-type]


def stats(**changes: Any) -> Stats:
    counts = {"total": 3, "unclaimed": 1_234, "in_progress": 2, "completed_total": 9}
    return Stats(**{"broker_address": "h:1", **counts, **changes})


@pytest.mark.parametrize(
    ("gone_ms", "shown"),
    [
        (0, "now"),
        (999, "now"),
        (1_000, "1 s"),
        (119_000, "1 min"),
        (7_200_000, "2 h"),
        (200_000_000, "2 d"),
        (-5_000, "now"),
    ],
)
def test_age_when_shown_then_in_the_largest_unit(gone_ms: int, shown: str) -> None:
    assert tables.age(1_000_000, 1_000_000 + gone_ms) == shown


def test_age_when_unknown_then_nothing() -> None:
    assert tables.age(None, 5) == ""


def test_stats_when_printed_then_every_count(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_stats(stats(delayed=4, dead=7))
    lines = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["waiting", "1,234 (4 delayed)"],
        ["in progress", "2"],
        ["completed", "9"],
        ["dead", "7"],
        ["broker", "h:1"],
    ]


def test_stats_when_the_queue_is_paused_then_said(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_stats(stats(paused=True))
    assert re.search(r"^queue +paused$", capsys.readouterr().out, re.MULTILINE)


def test_status_when_the_queue_is_paused_then_said(capsys: pytest.CaptureFixture[str]) -> None:
    leads = BrokerStatus(ready=True, role="leader", address="h:1", broker_id="b", epoch=5)
    tables.print_status(leads)
    assert "paused" not in capsys.readouterr().out
    tables.print_status(replace(leads, paused=True))
    assert re.search(r"^queue +paused: nothing", capsys.readouterr().out, re.MULTILINE)


def test_jobs_when_printed_then_whole_ids_and_whether_there_is_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tables.print_jobs([job(type="[red]x[/red]"), job(job_id="b")], more=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("01a200d4-18eb-7568-acd5-e22982bc2ce4  [red]x[/red]  dead")
    assert lines[2].startswith("b ")
    assert lines[3] == "there may be more: --limit 0 shows all"


def test_jobs_when_there_are_none_then_said(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_jobs([], more=False)
    assert capsys.readouterr().out == "no jobs\n"


def test_job_when_printed_then_all_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_job(job())
    shown = capsys.readouterr().out
    for expected in ("2 of 5", '{"to": "ädä"}', "ValueError: no", "email:send"):
        assert expected in shown
    assert shown.endswith("\nTrace\nValueError: no\n")
    assert "worker" not in shown


def test_json_when_made_of_a_job_then_with_the_names_of_the_wire() -> None:
    assert looking.as_json(job()) == {
        "id": "01a200d4-18eb-7568-acd5-e22982bc2ce4",
        "status": "dead",
        "type": "email:send",
        "createdAt": 1_700_000_000_000,
        "attempts": 2,
        "maxAttempts": 5,
        "priority": 0,
        "lastError": {
            "type": "ValueError",
            "message": "no",
            "traceback": "Trace\nValueError: no\n",
        },
        "payload": {"to": "ädä"},
    }


def test_json_when_a_payload_is_null_then_kept_and_when_unknown_left_out() -> None:
    assert looking.as_json(job(raw_payload=b"null"))["payload"] is None
    assert "payload" not in looking.as_json(job(raw_payload=None))


def test_job_when_it_has_failed_before_then_each_failure_is_told_newest_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    errors = tuple(
        JobError(type="E", message=f"no {number}", at=1_700_000_000_000, attempt=number)
        for number in (1, 2, 3)
    )
    tables.print_job(job(errors=errors, last_error=errors[-1]))
    told = re.findall(r"E: no (\d) \(attempt (\d), 20", capsys.readouterr().out)
    assert told == [("3", "3"), ("2", "2"), ("1", "1")]


def test_job_when_it_waits_for_others_then_that_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tables.print_job(job(after=("a", "b"), waits_for=("b",)))
    printed = capsys.readouterr().out
    assert re.search(r"^after +a, b$", printed, re.MULTILINE)
    assert re.search(r"^waits for +b$", printed, re.MULTILINE)


def test_stats_when_jobs_wait_for_others_then_that_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tables.print_stats(stats(delayed=4, waiting=1_200))
    assert "1,234 (4 delayed, 1,200 for other jobs)" in capsys.readouterr().out


def test_job_when_it_runs_or_has_a_result_then_that_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    running = Progress(done=3, total=9.5, note="käse")
    tables.print_job(job(last_error=None, progress=running, raw_result=b'{"a": [1]}'))
    shown = capsys.readouterr().out
    assert re.search(r"progress +3 of 9\.5, käse", shown)
    assert re.search(r'result +\{"a": \[1\]\}', shown)


def test_job_as_json_when_it_says_how_to_be_tried_then_with_the_names_of_rest() -> None:
    shown = looking.as_json(
        job(
            retry=RetryPolicy(base_ms=5), timeout_ms=9, keep_result=True, raw_result=b"null",
            progress=Progress(done=1), errors=(JobError(type="E", message="m", attempt=1),),
        )
    )  # fmt: skip
    assert (shown["retry"], shown["timeoutMs"], shown["keepResult"]) == ({"baseMs": 5}, 9, True)
    assert shown["result"] is None
    assert shown["progress"] == {"done": 1}
    assert shown["errors"] == [{"type": "E", "message": "m", "attempt": 1}]
    assert "result" not in looking.as_json(job())
    assert "errors" not in looking.as_json(job())
