"""Laws of jobs: nothing lost, nothing invented, nothing done twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.e2e.chaos.ending import Ending
from tests.e2e.chaos.findings import Finding, some
from tests.e2e.chaos.history import Call, History

__all__ = [
    "duplicates",
    "ended_once",
    "executed_once",
    "known",
    "lost",
    "one_lease_completes",
]


def lost(history: History, ending: Ending) -> list[str]:
    """The jobs whose submit was acknowledged and that have not ended."""
    ended = {entry.id for entry in ending.ended}
    return [
        job_id
        for call in history.calls
        if call.op == "submit" and call.ok
        for job_id in call.ids
        if job_id not in ended
    ]


def duplicates(history: History) -> list[str]:
    """The jobs that were executed more than once."""
    runs = Counter(execution.job_id for execution in history.executions)
    return [job_id for job_id, times in runs.items() if times > 1]


def ended_once(history: History, ending: Ending) -> Iterator[Finding]:
    """Every acknowledged job ends exactly once, and as completed: our handlers never fail."""
    yield from some("lost", (f"{job_id}: submitted, not ended" for job_id in lost(history, ending)))
    places = defaultdict(list)
    for entry in ending.ended:
        places[entry.id].append(entry.where)
    yield from some(
        "ended twice", (f"{job_id}: {at}" for job_id, at in places.items() if len(at) > 1)
    )
    yield from some(
        "completed",
        (
            f"{each.id}: ended as {each.status}"
            for each in ending.ended
            if each.status != "completed"
        ),
    )
    yield from some("drained", (f"{job_id}: never ended" for job_id in ending.open))
    if ending.completed_total != len(ending.ended):
        text = f"completedTotal is {ending.completed_total}, but {len(ending.ended)} have ended"
        yield Finding("ended twice", text)


def known(history: History, ending: Ending) -> Iterator[Finding]:
    """Nothing ends, and nothing runs, that nobody submitted."""
    submitted = {job_id for call in history.calls if call.op == "submit" for job_id in call.ids}
    met = {entry.id for entry in ending.ended} | {each.job_id for each in history.executions}
    yield from some("unknown", (f"{job_id}: never submitted" for job_id in met - submitted))
    spoilt = (each.job_id for each in history.executions if not each.sound)
    yield from some("unknown", (f"{job_id}: another payload" for job_id in spoilt))


def one_lease_completes(history: History, ending: Ending) -> Iterator[Finding]:
    """A job is completed by one lease, the one that stands in the archive."""
    leases: dict[str, set[str]] = defaultdict(set)
    for call in history.calls:
        for job_id, lease in _completed(call):
            leases[job_id].add(lease)
    for entry in ending.ended:
        if entry.lease is not None:
            leases[entry.id].add(entry.lease)
    yield from some(
        "two leases", (f"{job_id}: {held}" for job_id, held in leases.items() if len(held) > 1)
    )


def executed_once(history: History, _: Ending) -> Iterator[Finding]:
    """With healthy workers each job is executed once."""
    yield from some("executed twice", duplicates(history))


def _completed(call: Call) -> Iterator[tuple[str, str]]:
    """Job and lease of each completion that was acknowledged."""
    if call.op == "complete" and call.ok:
        for job_id, lease in zip(call.ids, call.leases, strict=True):
            if job_id not in call.refused:
                yield job_id, lease
