"""Laws of reads: none goes back in time, and consistent ones are linearizable.

Of a consistent read two bounds are checked. What was acknowledged before it began must show; what
nobody had asked for by its end must not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tests.e2e.chaos.ending import Ending
from tests.e2e.chaos.findings import Finding, some
from tests.e2e.chaos.history import Call, History

__all__ = ["consistent_reads", "jobs_found", "reads_go_forward"]

READS = frozenset({"get_job", "get_stats", "list_jobs"})
OVER = "completed"
NOT_THERE = "JobNotFoundError"


def reads_go_forward(history: History, _: Ending) -> Iterator[Finding]:
    """Of one client, no read shows less than what was shown before it began.

    That there is no such job is shown, too.
    """
    by_client = defaultdict(list)
    for call in history.calls:
        if (call.ok or call.tag == NOT_THERE) and call.end is not None:
            by_client[call.client].append(call)
    for calls in by_client.values():
        yield from some("back in time", _backward(calls, "position", lambda call: call.position))
        yield from some(
            "back in time", _backward(calls, "completedTotal", lambda call: call.completed_total)
        )


def consistent_reads(history: History, _: Ending) -> Iterator[Finding]:
    """The counts and statuses of consistent reads lie within their bounds."""
    submits, completions = _changes(history, "submit"), _changes(history, "complete")
    reads = [call for call in history.calls if call.ok and call.consistent]
    yield from some(
        "consistent",
        [
            *_out_of_bounds(reads, submits, lambda call: call.submitted_total),
            *_out_of_bounds(reads, completions, lambda call: call.completed_total),
            *_wrong_statuses(reads, completions),
        ],
    )


def jobs_found(history: History, _: Ending) -> Iterator[Finding]:
    """A job is found by consistent reads, and by its own submitter, once that was acknowledged."""
    submits = _changes(history, "submit")
    missed = (
        f"{call.client} did not find {call.ids[0]} at {call.start:.3f}"
        for call in history.calls
        if call.op == "get_job" and call.tag == NOT_THERE
        if call.consistent or call.client.startswith("producer")
        if submits.done.get(call.ids[0], float("inf")) < call.start
    )
    yield from some("not found", missed)


class _Changes:
    """When each job's change was first asked for, and first acknowledged."""

    def __init__(self) -> None:
        self.asked: dict[str, float] = {}
        self.done: dict[str, float] = {}

    def sorted(self) -> tuple[list[float], list[float]]:
        return sorted(self.asked.values()), sorted(self.done.values())


def _changes(history: History, op: str) -> _Changes:
    changes = _Changes()
    for call in history.calls:
        if call.op != op:
            continue
        for job_id in call.ids:
            changes.asked.setdefault(job_id, call.start)
            if call.ok and call.end is not None and job_id not in call.refused:
                first = changes.done.get(job_id, call.end)
                changes.done[job_id] = min(first, call.end)
    return changes


def _out_of_bounds(
    reads: Iterable[Call], changes: _Changes, shown_by: Callable[[Call], int | None]
) -> Iterator[str]:
    asked, done = changes.sorted()
    for call in reads:
        shown = shown_by(call)
        if shown is None or call.end is None:
            continue
        least, most = bisect_left(done, call.start), bisect_left(asked, call.end)
        if not least <= shown <= most:
            yield f"{call.client} {call.op} at {call.start:.3f}: {shown}, not {least} to {most}"


def _wrong_statuses(reads: Iterable[Call], completions: _Changes) -> Iterator[str]:
    never = float("inf")
    for call in reads:
        if call.op != "get_job" or call.end is None:
            continue
        (job_id,) = call.ids
        over = call.status == OVER
        if over and completions.asked.get(job_id, never) > call.end:
            yield f"{job_id} was {OVER} before anybody said so"
        if not over and completions.done.get(job_id, never) < call.start:
            yield f"{job_id} was {call.status} after it had been {OVER}"


def _backward(calls: Sequence[Call], what: str, shown_by: Callable[[Call], Any]) -> Iterator[str]:
    """Compares each read with the most that any call had shown when it began."""
    shown = [call for call in calls if shown_by(call) is not None]
    by_end = sorted(shown, key=lambda call: call.end or 0)
    most, at = None, 0
    for call in sorted(shown, key=lambda call: call.start):
        while at < len(by_end) and (by_end[at].end or 0) < call.start:
            earlier = shown_by(by_end[at])
            most, at = earlier if most is None else max(most, earlier), at + 1
        if call.op in READS and most is not None and shown_by(call) < most:
            yield f"{call.client} {call.op} at {call.start:.3f}: {what} {shown_by(call)} < {most}"
