"""What the demo found out, and whether all of it is there. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from osqueue.cli.demo.index import FileIndex, Function
from osqueue.cli.demo.results import Result

__all__ = ["Findings", "faults", "summarize"]

WORDS_SHOWN: Final = 8
FUNCTIONS_SHOWN: Final = 3


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of all results."""

    indexed: int
    lines: int
    words: int
    distinct_words: int
    functions: int
    classes: int
    common_words: list[tuple[str, int]]
    longest: list[tuple[str, Function]]
    skipped: list[tuple[str, str]]
    handed_out_again: int
    ran_again: int


def summarize(results: Sequence[Result]) -> Findings:
    """Add the results up."""
    found = [(each.path, each.index) for each in results if each.index is not None]
    words: Counter[str] = Counter()
    for _, index in found:
        words.update(index.words)
    return Findings(
        indexed=len(found),
        lines=sum(index.lines for _, index in found),
        words=words.total(),
        distinct_words=len(words),
        functions=sum(index.functions for _, index in found),
        classes=sum(index.classes for _, index in found),
        common_words=words.most_common(WORDS_SHOWN),
        longest=_longest(found),
        skipped=sorted((each.path, each.skipped) for each in results if each.skipped is not None),
        handed_out_again=sum(each.attempt > 1 for each in results),
        ran_again=sum(each.runs > 1 for each in results),
    )


def faults(
    expected: Mapping[str, str], results: Sequence[Result], *, left: int, dead: int
) -> list[str]:
    """What is wrong. ``expected``: paths by job id; ``left``, ``dead``: what the queue holds."""
    found = {result.job_id: result.path for result in results}
    missing = [path for job_id, path in expected.items() if job_id not in found]
    foreign = [job_id for job_id, path in found.items() if expected.get(job_id) != path]
    complaints = [
        (left, f"{left} jobs are still in the queue"),
        (dead, f"{dead} jobs are dead: see osqueue jobs --status dead"),
        (missing, f"{len(missing)} files have no result, such as {missing[:1]}"),
        (foreign, f"{len(foreign)} results belong to no file, such as {foreign[:1]}"),
    ]
    return [complaint for wrong, complaint in complaints if wrong]


def _longest(found: Sequence[tuple[str, FileIndex]]) -> list[tuple[str, Function]]:
    functions = [(path, index.longest) for path, index in found if index.longest is not None]
    return sorted(functions, key=lambda each: -each[1].lines)[:FUNCTIONS_SHOWN]
