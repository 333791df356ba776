"""The demo's last words, in 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

from osqueue.cli.demo.figures import Figures, percentile
from osqueue.cli.demo.findings import Findings
from osqueue.cli.output import say

__all__ = ["print_check", "print_figures", "print_findings"]

COLUMNS: Final = 80
LABEL: Final = 14
SKIPPED_SHOWN: Final = 3


def print_findings(findings: Findings) -> None:
    """Say what is in the files."""
    say("")
    _row("Files", f"{findings.indexed:,} indexed, {len(findings.skipped):,} skipped")
    _row("Lines", f"{findings.lines:,}")
    _row("Words", f"{findings.words:,}, of which {findings.distinct_words:,} are different")
    _row("Definitions", f"{findings.functions:,} functions, {findings.classes:,} classes")
    _row("Most common", ", ".join(f"{word} {count:,}" for word, count in findings.common_words))
    _rows("Longest", (f"{each.name}, {each.lines:,} lines, in {path}:{each.line}"
                      for path, each in findings.longest))  # fmt: skip
    _rows("Skipped", _skipped(findings.skipped))


def print_figures(figures: Figures) -> None:
    """Say how it went. Nothing is said of what was not measured."""
    say("")
    seconds = max(figures.took_ms, 1) / 1_000
    if figures.jobs:
        _row("Jobs", f"{figures.jobs:,} in {seconds:.1f} s: {figures.jobs / seconds:,.0f} jobs/s")
    if figures.jobs and figures.commits:
        each = figures.jobs / figures.commits
        _row("Commits", f"{figures.commits:,}: {each:.1f} jobs submitted, claimed and done in each")
    if figures.start_times:
        times = _percentiles(figures.start_times)
        _row("To start", f"{times} from submit to handler start, idle queue")
    if figures.line_times:
        _row("In line", f"{_percentiles(figures.line_times)} for the files, submitted all at once")


def print_check(findings: Findings, faults: Sequence[str], *, files: int) -> None:
    """Say whether all is there."""
    say("")
    if faults:
        _rows("CHECK FAILED", faults)
        return
    _row("Checked", f"{files:,} files, one result each; the queue is empty; no job was lost.")
    if findings.handed_out_again:
        again = f"{findings.handed_out_again:,} handed out again after an interruption"
        _row("Twice", f"{again}, {findings.ran_again:,} of them had been done already.")


def _percentiles(times: Sequence[int]) -> str:
    return f"p50 {percentile(times, 50):,} ms, p99 {percentile(times, 99):,} ms"


def _skipped(skipped: Sequence[tuple[str, str]]) -> Iterable[str]:
    for path, reason in skipped[:SKIPPED_SHOWN]:
        yield textwrap.shorten(f"{path}: {reason}", COLUMNS - LABEL, placeholder="...")
    if len(skipped) > SKIPPED_SHOWN:
        yield f"and {len(skipped) - SKIPPED_SHOWN:,} more"


def _rows(label: str, texts: Iterable[str]) -> None:
    for text in texts:
        _row(label, text)
        label = ""


def _row(label: str, text: str) -> None:
    indent = " " * LABEL
    say(textwrap.fill(text, COLUMNS, initial_indent=f"{label:<{LABEL}}", subsequent_indent=indent))
