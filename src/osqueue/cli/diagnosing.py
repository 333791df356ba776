"""Probing a store for somebody who wants to know what is wrong with it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from osqueue.cli import tables
from osqueue.cli.output import say_json
from osqueue.errors import error_tag
from osqueue.storage import ProbeReport, Store
from osqueue.storage.findings import NOT_SHOWN
from osqueue.storage.probe import examine

__all__ = ["as_json", "diagnose"]

SAMPLES: Final = 5
"""Writes and reads beyond those of the checks: enough for a median, over in a second."""

_COLOURS: Final = {"ok": "green", "failed": "bold red"}


def diagnose(store: Store, *, json_output: bool) -> int:
    """Print what was found; raises what is wrong with the store."""
    report = asyncio.run(_examine(store))
    if json_output:
        say_json(as_json(report))
    else:
        _print(report)
    if report.error is not None:
        raise report.error
    return 0


def as_json(report: ProbeReport) -> dict[str, Any]:
    """A report for scripts; what is not known is left out."""
    error = report.error
    wrong = None if error is None else {"_tag": error_tag(error), "message": error.message}
    fields = {
        "storage": report.url,
        "fit": report.fit,
        "checks": {check.name: str(check.verdict) for check in report.checks},
        "dialect": report.dialect,
        "putMs": report.put_ms,
        "getMs": report.get_ms,
        "clockOffsetMs": report.clock_offset_ms,
        "notShown": NOT_SHOWN,
        "error": wrong,
    }
    return {name: value for name, value in fields.items() if value is not None}


async def _examine(store: Store) -> ProbeReport:
    """Probe it, and say on a terminal how far that is."""
    console = Console(stderr=True, highlight=False)
    try:
        with console.status(f"probing {store.url}") as status:
            return await examine(
                store, samples=SAMPLES, note=lambda check: status.update(_question(check))
            )
    finally:
        await store.close()


def _print(report: ProbeReport) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")  # nothing of the URL is cut
    table.add_row("store", Text(report.url))
    for check in report.checks:
        table.add_row(check.name, Text(check.verdict, style=_COLOURS.get(check.verdict, "")))
    for name, value in _findings(report):
        table.add_row(name, Text(value))
    tables.print_table(tables.make_console(), table)


def _findings(report: ProbeReport) -> list[tuple[str, str]]:
    findings = [
        ("spoken to as", report.dialect),
        ("put", None if report.put_ms is None else f"{report.put_ms} ms"),
        ("get", None if report.get_ms is None else f"{report.get_ms} ms"),
        ("clock", report.clock),
        ("not shown", NOT_SHOWN),
        ("fit for a queue", "yes" if report.fit else "no"),
    ]
    return [(name, value) for name, value in findings if value]


def _question(check: str) -> str:
    return f"seeing whether it {check}"
