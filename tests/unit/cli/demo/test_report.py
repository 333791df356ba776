"""The demo's last words."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from osqueue.cli.demo.figures import Figures, percentile
from osqueue.cli.demo.findings import Findings
from osqueue.cli.demo.index import Function
from osqueue.cli.demo.report import print_check, print_figures, print_findings

FINDINGS = Findings(
    indexed=1_781,
    lines=857_247,
    words=2_495_357,
    distinct_words=112_748,
    functions=58_754,
    classes=13_116,
    common_words=[("assertEqual", 222_242)] * 8,
    longest=[("test/" + "x" * 90 + ".py", Function("f" * 30, 10, 671))] * 3,
    skipped=[(f"lib2to3/{n}.py", "SyntaxError: " + "very bad " * 20) for n in range(5)],
    handed_out_again=0,
    ran_again=0,
)
FIGURES = Figures(
    jobs=1_790, took_ms=9_200, commits=339, start_times=[4, 6], line_times=[1_000, 9_000]
)


def test_findings_when_printed_then_within_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings(FINDINGS)
    lines = capsys.readouterr().out.splitlines()
    assert "Files         1,781 indexed, 5 skipped" in lines
    assert "              and 2 more" in lines
    assert all(len(line) <= 80 or " " not in line.strip() for line in lines)


def test_figures_when_printed_then_rates_commits_and_times(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_figures(FIGURES)
    assert capsys.readouterr().out.splitlines() == [
        "",
        "Jobs          1,790 in 9.2 s: 195 jobs/s",
        "Commits       339: 5.3 jobs submitted, claimed and done in each",
        "To start      p50 4 ms, p99 6 ms from submit to handler start, idle queue",
        "In line       p50 1,000 ms, p99 9,000 ms for the files, submitted all at once",
    ]


def test_figures_when_nothing_was_measured_then_nothing_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_figures(Figures(jobs=0, took_ms=0, commits=0, start_times=[], line_times=[]))
    assert capsys.readouterr().out == "\n"


def test_check_when_all_is_there_then_said(capsys: pytest.CaptureFixture[str]) -> None:
    print_check(FINDINGS, [], files=1_786)
    shown = capsys.readouterr().out
    assert "Checked       1,786 files, one result each; the queue is empty; no job" in shown
    assert "Twice" not in shown


def test_check_when_jobs_ran_twice_then_said_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    print_check(replace(FINDINGS, handed_out_again=12, ran_again=3), [], files=1)
    shown = " ".join(capsys.readouterr().out.split())
    assert "Twice 12 handed out again after an interruption, 3 of them had been done" in shown


def test_check_when_something_is_wrong_then_what(capsys: pytest.CaptureFixture[str]) -> None:
    print_check(FINDINGS, ["2 jobs are still in the queue", "more"], files=1)
    assert capsys.readouterr().out.splitlines() == [
        "",
        "CHECK FAILED  2 jobs are still in the queue",
        "              more",
    ]


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)]
)
def test_percentile_when_taken_then_the_value_that_so_many_do_not_exceed(
    percent: float, value: int
) -> None:
    assert percentile(range(100, 0, -1), percent) == value
