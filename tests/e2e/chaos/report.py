"""The figures of a run, as JSON lines and as a table."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from tests.e2e.chaos.history import History, Round
from tests.e2e.chaos.laws_of_jobs import duplicates, lost
from tests.e2e.chaos.load import PRODUCER
from tests.e2e.chaos.run import Result

__all__ = ["figures", "table", "without_service_s"]

COLUMNS = (
    "store", "fault", "variant", "way", "rounds", "operations", "kills", "gap_p50_s", "gap_max_s",
    "duplicates", "lost", "late_writes", "locked", "findings",
)  # fmt: skip


def figures(result: Result) -> list[dict[str, Any]]:
    """A line for the fault as a whole, one for each of its variants, and one for each transport.

    The latter two only if there are several. Rounds that stopped a process while it held the local
    store's lock are a variant of their own.
    """
    history, course = result.history, result.course
    gaps = without_service_s(history)
    whole = {
        "store": result.store.partition(":")[0],
        "fault": course.fault,
        "variant": "",
        "way": "",
        "brokers": course.brokers,
        "seed": course.seed,
        "operations": len(history.calls),
        "duplicates": len(duplicates(history)),
        "lost": len(lost(history, result.ending)),
        "late_writes": result.late_writes,
        "stale_discarded": sum(call.discarded for call in history.calls),
        "findings": len(result.findings),
        **_of_rounds(history.rounds, gaps),
    }
    place = {name: whole[name] for name in ("store", "fault", "brokers", "seed")}
    parts = [*_of_variants(history, gaps), *_of_ways(history)]
    return [whole, *({**place, **part} for part in parts)]


def without_service_s(history: History, way: str | None = None) -> list[float]:
    """Of each round, the longest time between two acknowledged submits, over all producers.

    ``way``: over those only that go by this transport. Clients that are loyal to one broker don't
    count: they don't look for service.
    """
    acks = sorted(
        call.end
        for call in history.calls
        if call.op == "submit" and call.ok and call.end and call.client.startswith(PRODUCER)
        if way in {None, call.way}
    )
    return [_longest(acks, each) for each in history.rounds]


def table(lines: Sequence[dict[str, Any]]) -> str:
    """The same for people."""
    rows = [COLUMNS, *(tuple(_shown(line.get(name)) for name in COLUMNS) for line in lines)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _of_variants(history: History, gaps: Sequence[float]) -> Iterator[dict[str, Any]]:
    kinds = sorted({_kind(each) for each in history.rounds})
    if len(kinds) < 2:
        return
    for kind in kinds:
        at = [number for number, each in enumerate(history.rounds) if _kind(each) == kind]
        part = _of_rounds([history.rounds[n] for n in at], [gaps[n] for n in at])
        yield {"variant": kind, **part}


def _of_ways(history: History) -> Iterator[dict[str, Any]]:
    operations = Counter(call.way for call in history.calls)
    if len(operations) < 2:
        return
    for way in sorted(operations):
        gaps = without_service_s(history, way)
        yield {"way": way, "operations": operations[way], **_of_gaps(gaps)}


def _of_rounds(rounds: Sequence[Round], gaps: Sequence[float]) -> dict[str, Any]:
    return {
        "rounds": len(rounds),
        "kills": sum(each.kills for each in rounds),
        "locked": sum(each.locked for each in rounds),
        **_of_gaps(gaps),
    }


def _of_gaps(gaps: Sequence[float]) -> dict[str, Any]:
    ordered = sorted(gaps)
    return {
        "gap_p50_s": round(ordered[len(ordered) // 2], 2) if ordered else None,
        "gap_max_s": round(ordered[-1], 2) if ordered else None,
    }


def _kind(each: Round) -> str:
    return "holding the lock" if each.locked else each.variant


def _longest(acks: Sequence[float], each: Round) -> float:
    """From the last before the fault on to the first after its end."""
    first = max(bisect_left(acks, each.start) - 1, 0)
    last = bisect_left(acks, each.end) + 1
    inside = acks[first:last]
    return max((after - before for before, after in pairwise(inside)), default=0)


def _shown(value: object) -> str:
    return "" if value is None else str(value)
