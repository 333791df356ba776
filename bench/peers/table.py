"""The end of a run: for each measure all systems, and how far osqueue is ahead of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from peers.catalogue import OURS
from peers.measures import MEASURES

__all__ = ["Row", "markdown", "table"]

UNITS: Mapping[str, str] = {
    "drain": "jobs/s that one worker process drains of a backlog",
    "bulk": "jobs/s that one caller enqueues in bulk",
    "concurrent": "jobs/s that 64 callers enqueue one by one",
    "single": "ms of one enqueue that is waited for (p50)",
    "latency": "ms from submit to the handler's start, idle (p50)",
    "after": "the same, right after the backlog (p50)",
    "ran": "jobs that were submitted, each of which has run",
}
FIGURES = MEASURES[:-1]
LESS_IS_BETTER = ("single", "latency", "after")
AGAINST = ("default", "best")
"""The settings of ours that each peer is compared with."""


@dataclass(frozen=True)
class Row:
    """One measure of one system at one setting; ``failed`` says why there is no figure."""

    system: str
    setting: str
    measure: str
    figure: float | None = None
    p99: float | None = None
    failed: str | None = None


def table(rows: Iterable[Row]) -> str:
    """Of several rounds, the median. Ratios above 1 are in osqueue's favour, whatever the unit."""
    given = list(rows)
    return "\n".join(line for measure in MEASURES for line in _section(measure, given))


def markdown(rows: Iterable[Row]) -> str:
    """The figures alone, as they stand in the documentation: a line for each setting."""
    given = list(rows)
    lines = ["| | " + " | ".join(FIGURES) + " |", "|---" * (len(FIGURES) + 1) + "|"]
    for key in dict.fromkeys(map(_key, given)):
        cells = (_cell(key, [row for row in given if row.measure == name]) for name in FIGURES)
        lines.append(f"| {' '.join(key)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(key: tuple[str, str], rows: list[Row]) -> str:
    figure, p99 = _median(key, rows), _p99(key, rows)
    if figure is None:
        return "failed"
    return f"{figure:,g} / {p99}" if p99 else f"{figure:,.0f}"


def _section(measure: str, rows: list[Row]) -> Iterator[str]:
    mine = [row for row in rows if row.measure == measure]
    if not mine:
        return
    figures = {key: _median(key, mine) for key in dict.fromkeys(map(_key, mine))}
    yield f"\n{measure}: {UNITS[measure]}"
    yield _line("", "", "figure", "p99", *(f"osqueue {setting}" for setting in AGAINST))
    for (system, setting), figure in figures.items():
        if figure is None:
            reason = next(row.failed for row in mine if _key(row) == (system, setting))
            yield f"{system:<15}{setting:<16}failed: {reason}"
            continue
        ratios = (_ratio(measure, figures.get((OURS, ours)), figure) for ours in AGAINST)
        yield _line(system, setting, f"{figure:,g}", _p99((system, setting), mine), *ratios)


def _line(*cells: str) -> str:
    system, setting, *others = cells
    return f"{system:<15}{setting:<16}" + "".join(f"{cell:>17}" for cell in others)


def _key(row: Row) -> tuple[str, str]:
    return row.system, row.setting


def _median(key: tuple[str, str], rows: Iterable[Row]) -> float | None:
    figures = [row.figure for row in rows if _key(row) == key and row.figure is not None]
    return median(figures) if figures else None


def _p99(key: tuple[str, str], rows: Iterable[Row]) -> str:
    figures = [row.p99 for row in rows if _key(row) == key and row.p99 is not None]
    return f"{median(figures):,g}" if figures else ""


def _ratio(measure: str, ours: float | None, theirs: float) -> str:
    if measure == "ran" or not ours or not theirs:
        return ""
    return f"{theirs / ours if measure in LESS_IS_BETTER else ours / theirs:.2f}x"
