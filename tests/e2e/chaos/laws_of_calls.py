"""Laws of calls: each is answered in its time, with success or with a truth that passes.

And of healthy workers, which are all of ours: no lease is lost, whatever the brokers go through.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.e2e.chaos.ending import Ending
from tests.e2e.chaos.findings import Finding, some
from tests.e2e.chaos.history import Call, History

__all__ = ["answered", "busy", "leases_kept"]

LEASED = frozenset({"complete", "fail", "heartbeat", "release"})

USED = frozenset({"claim", "complete", "get_job", "get_stats", "heartbeat", "list_jobs", "submit"})
CONSISTENT = frozenset({"get_job", "get_stats", "list_jobs"})

CANCELLED = "CancelledError"
"""A worker gives up a heartbeat after one interval, and everybody gives up at the end."""


def busy(history: History, _: Ending) -> Iterator[Finding]:
    """Every kind of call succeeded at some time, over every transport that was used.

    A run in which nothing happened proves nothing.
    """
    for way in sorted({call.way for call in history.calls}):
        calls = [call for call in history.calls if call.ok and call.way == way]
        idle = USED - {call.op for call in calls}
        slack = CONSISTENT - {call.op for call in calls if call.consistent}
        over = f" over {way}" if way else ""
        yield from some("idle", (f"no {op} succeeded{over}" for op in sorted(idle)))
        yield from some("idle", (f"no consistent {op}{over}" for op in sorted(slack)))


def answered(history: History, _: Ending) -> Iterator[Finding]:
    yield from some("unanswered", filter(None, map(_tardy, history.calls)))
    yield from some("refused for good", filter(None, map(_final, history.calls)))


def leases_kept(history: History, _: Ending) -> Iterator[Finding]:
    """No report of a worker is refused, no handler is told that its lease is gone.

    A worker keeps a lease until the answer to its completion has come: heartbeats that meet a job
    which their own lease has just ended are refused, rightly, and change nothing.
    """
    ending = _completions(history)
    lost = (
        f"{call.client} {call.op} {job_id}: {tag} at {call.end:.3f}"
        for call in history.calls
        if call.op in LEASED and call.end is not None
        for job_id, lease, tag in _refusals(call)
        if not (call.op == "heartbeat" and ending.get((job_id, lease), call.end) < call.end)
    )
    yield from some("lease lost", lost)
    cancelled = (each for each in history.executions if each.cancelled)
    yield from some(
        "lease lost", (f"{each.job_id} was cancelled at {each.end}" for each in cancelled)
    )


def _completions(history: History) -> dict[tuple[str, str], float]:
    """When each lease was first asked to end its job."""
    asked: dict[tuple[str, str], float] = {}
    for call in history.calls:
        if call.op == "complete":
            for held in zip(call.ids, call.leases, strict=True):
                asked.setdefault(held, call.start)
    return asked


def _refusals(call: Call) -> Iterator[tuple[str, str, str]]:
    """Job, lease and the error's tag."""
    for job_id, lease in zip(call.ids, call.leases, strict=True):
        if job_id in call.refused:
            yield job_id, lease, call.refused[job_id]
        elif _lost(call):
            yield job_id, lease, call.tag


def _lost(call: Call) -> bool:
    return bool(call.ids) and call.tag in {"JobNotFoundError", "LeaseLostError"}


def _tardy(call: Call) -> str:
    if call.end is None:
        return f"{call.client} {call.op} from {call.start:.3f} was never answered"
    if call.limit_s and call.end - call.start > call.limit_s:
        took = call.end - call.start
        return f"{call.client} {call.op} took {took:.1f} s of {call.limit_s:.1f} s"
    return ""


def _final(call: Call) -> str:
    """An error that would come again. What a lease is refused for is a law of its own."""
    if call.ok or call.end is None or call.retryable or call.tag == CANCELLED:
        return ""
    if call.op in LEASED and _lost(call):
        return ""
    if call.op == "get_job" and call.tag == "JobNotFoundError":
        return ""  # a law of reads
    return f"{call.client} {call.op}: {call.tag}: {call.message}"
