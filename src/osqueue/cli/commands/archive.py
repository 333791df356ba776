"""``osqueue archive ls`` and ``osqueue archive cat``."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from osqueue.cli import options
from osqueue.cli.durations import milliseconds
from osqueue.cli.failures import require_broker
from osqueue.clock import SystemClock

if TYPE_CHECKING:
    from osqueue.storage import Store

__all__ = ["archive"]

archive = typer.Typer()

Since = Annotated[
    str,
    typer.Option("--since", metavar="TIME", help="How far back: 90s, 15m, 2h, 7d; 0 for all."),
]


class Status(StrEnum):
    """How jobs end."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DISCARDED = "discarded"
    DEAD = "dead"


@archive.callback(invoke_without_command=True)
def root(context: typer.Context) -> None:
    """Read the jobs that have ended, straight from the storage."""
    if context.invoked_subcommand is None:
        context.get_help()


@archive.command()
def ls(
    context: typer.Context,
    *,
    since: Since = "24h",
    storage: options.NamedStorage = None,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> None:
    """List the archive's objects, oldest first, with the jobs and bytes in each."""
    options.set_up(context, debug=debug)
    store, since_ms = _place(context, since, storage)
    from osqueue.cli import archiving  # noqa: PLC0415 - heavy, and not always installed

    archiving.run(archiving.ls(store, since_ms, json_output=json_output))


@archive.command()
def cat(
    context: typer.Context,
    *,
    since: Since = "24h",
    storage: options.NamedStorage = None,
    status: Annotated[
        Status | None,
        typer.Option(metavar="STATUS", help="Only completed, cancelled, discarded or dead ones."),
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Print the jobs that ended within that time, one JSON object a line."""
    options.set_up(context, debug=debug)
    store, since_ms = _place(context, since, storage)
    from osqueue.cli import archiving  # noqa: PLC0415 - heavy, and not always installed

    archiving.run(archiving.cat(store, since_ms, status=status))


def _place(context: typer.Context, since: str, storage: str | None) -> tuple[Store, int]:
    """The storage, and the moment from which on."""
    back_ms = milliseconds(since, options.origin_of(context, "since"))
    now_ms = SystemClock().wall_ms()
    require_broker("the archive")
    store = options.open_named_storage(context, storage)
    return store, now_ms - back_ms if back_ms else 0
