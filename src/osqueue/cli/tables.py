"""Jobs and counts as tables for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from osqueue.client import (
    BrokerStatus,
    DeadGroup,
    DeadGroups,
    JobError,
    JobInfo,
    Progress,
    Setting,
    Stats,
)
from osqueue.clock import SystemClock

__all__ = [
    "age",
    "make_console",
    "print_dead_groups",
    "print_job",
    "print_jobs",
    "print_settings",
    "print_stats",
    "print_status",
    "print_table",
    "time",
]

PIPE_COLUMNS: Final = 200
"""Width where there is no terminal: nothing is cut in a file."""

_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))
_COLOURS: Final = {"in_progress": "green", "dead": "red"}


def print_stats(stats: Stats) -> None:
    """Print the counts."""
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    waiting = f"{stats.unclaimed:,}"
    parts = [(stats.delayed, "delayed"), (stats.waiting, "for other jobs")]
    if said := ", ".join(f"{number:,} {name}" for number, name in parts if number):
        waiting += f" ({said})"
    table.add_row("waiting", waiting)
    table.add_row("in progress", f"{stats.in_progress:,}")
    table.add_row("completed", f"{stats.completed_total:,}")
    table.add_row("dead", f"{stats.dead:,}")
    if stats.paused:
        table.add_row("queue", "paused")
    table.add_row("broker", stats.broker_address or "none")
    print_table(make_console(), table)


def print_status(status: BrokerStatus) -> None:
    """Print how a broker is doing."""
    table = Table.grid(padding=(0, 2))
    for name, value in _status_rows(status):
        table.add_row(name, Text(value))
    print_table(make_console(), table)


def print_settings(settings: Sequence[Setting]) -> None:
    """Print a line for each setting."""
    table = Table(box=None, pad_edge=False)
    table.add_column("setting", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("variable", no_wrap=True)
    for each in settings:
        table.add_row(each.name, Text(bytes(each.value).decode()), each.env)
    print_table(make_console(), table)


def print_jobs(jobs: Sequence[JobInfo], *, more: bool) -> None:
    """Print a line for each job."""
    console = make_console()
    if not jobs:
        console.print("no jobs")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("id", no_wrap=True)
    table.add_column("type", overflow="ellipsis", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("tries", justify="right", no_wrap=True)
    table.add_column("age", justify="right", no_wrap=True)
    now_ms = SystemClock().wall_ms()
    for job in jobs:
        status = Text(job.status, style=_COLOURS.get(job.status, ""))
        tries = str(job.attempts)
        table.add_row(Text(job.job_id), Text(job.type), status, tries, age(job.created_at, now_ms))
    print_table(console, table)
    if more:
        console.print("there may be more: --limit 0 shows all")


def print_dead_groups(found: DeadGroups) -> None:
    """Print a line for each kind of failure."""
    console = make_console()
    if not found.total:
        console.print("no dead jobs")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("jobs", justify="right", no_wrap=True)
    table.add_column("last", justify="right", no_wrap=True)
    table.add_column("types", overflow="ellipsis", no_wrap=True)
    table.add_column("error", overflow="ellipsis", no_wrap=True)
    now_ms = SystemClock().wall_ms()
    for group in found.groups:
        error = Text(" ".join(f"{group.error_type}: {group.message}".split()))
        table.add_row(f"{group.count:,}", age(group.newest, now_ms), _types(group), error)
    print_table(console, table)
    rest = found.total - sum(group.count for group in found.groups)
    if rest:
        console.print(f"and {rest:,} of other kinds")


def print_job(job: JobInfo) -> None:
    """Print all that is known of a job."""
    table = Table.grid(padding=(0, 2))
    for name, value in _rows(job):
        table.add_row(name, Text(value))
    console = make_console()
    print_table(console, table)
    if job.last_error is not None and job.last_error.traceback:
        console.print(Text(f"\n{job.last_error.traceback.rstrip()}"))


def print_table(console: Console, table: Table) -> None:
    """Print it without the blanks that fill its last column."""
    with console.capture() as capture:
        console.print(table)
    lines = (line.rstrip() for line in capture.get().splitlines())
    console.file.write("".join(f"{line}\n" for line in lines))


def age(created_ms: int | None, now_ms: int) -> str:
    """How long ago, in the largest unit that fits."""
    if created_ms is None:
        return ""
    gone_ms = max(0, now_ms - created_ms)
    for unit_ms, name in _UNITS:
        if gone_ms >= unit_ms:
            return f"{gone_ms // unit_ms} {name}"
    return "now"


def _types(group: DeadGroup) -> Text:
    """The most frequent ones first; a job without a type is one of `-`."""
    return Text(", ".join(type_ or "-" for type_ in group.types))


def _status_rows(status: BrokerStatus) -> list[tuple[str, str]]:
    age_ms, every_ms = status.heartbeat_age_ms, status.heartbeat_every_ms
    beats = "" if every_ms is None else f", due every {_seconds(every_ms)}"
    standbys = [
        f"{each.address} (seen {_seconds(each.seen_ms_ago)} ago)" for each in status.standbys
    ]
    leads = status.role == "leader"
    rows = [
        ("broker", f"{status.address}, {status.role}"),
        ("leader", status.leader or "none known"),
        ("why", status.reason or ""),
        ("queue", "paused: nothing is handed out" if status.paused else ""),
        ("epoch", str(status.epoch) if status.epoch else ""),
        ("standbys", ", ".join(standbys) or ("none" if leads else "")),
        ("heartbeat", "" if age_ms is None else f"{_seconds(age_ms)} ago{beats}"),
        ("commits", f"{status.commits_per_s:g}/s, {status.commits:,} in all" if leads else ""),
        ("state", "" if status.state_bytes is None else f"{status.state_bytes:,} bytes"),
    ]
    return [(name, value) for name, value in rows if value]


def _seconds(ms: int) -> str:
    return f"{ms / 1_000:.1f} s"


def _rows(job: JobInfo) -> list[tuple[str, str]]:
    of_attempts = f" of {job.max_attempts}" if job.max_attempts else ""
    rows = [
        ("id", job.job_id),
        ("status", job.status),
        ("type", job.type),
        ("attempts", f"{job.attempts}{of_attempts}"),
        ("priority", str(job.priority) if job.priority else ""),
        ("created", time(job.created_at)),
        ("not before", time(job.run_at)),
        ("after", ", ".join(job.after)),
        ("waits for", ", ".join(job.waits_for)),
        ("worker", job.worker_id or ""),
        ("heartbeat", time(job.heartbeat)),
        ("ended", time(job.ended_at)),
        ("payload", "" if job.raw_payload is None else json.dumps(job.payload, ensure_ascii=False)),
        ("hidden", "payload and result, from this token" if job.payload_hidden else ""),
        ("result", "" if job.raw_result is None else json.dumps(job.result, ensure_ascii=False)),
        ("progress", _progress(job.progress)),
        ("last error", _failure(job.last_error)),
        *[("before", _failure(error)) for error in reversed(job.errors[:-1])],
    ]
    return [(name, value) for name, value in rows if value]


def _failure(error: JobError | None) -> str:
    if error is None:
        return ""
    attempt = "" if error.attempt is None else f" (attempt {error.attempt}, {time(error.at)})"
    return f"{error.type}: {error.message}{attempt}"


def _progress(progress: Progress | None) -> str:
    if progress is None:
        return ""
    total = "" if progress.total is None else f" of {progress.total:g}"
    note = f", {progress.note}" if progress.note else ""
    return f"{progress.done:g}{total}{note}"


def time(ms: int | None) -> str:
    """The moment, where this machine is."""
    if ms is None:
        return ""
    moment = datetime.fromtimestamp(ms / 1_000, UTC).astimezone()
    return moment.isoformat(sep=" ", timespec="milliseconds")


def make_console() -> Console:
    """Where tables are printed: stdout, and nothing is cut where that is no terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_COLUMNS)
