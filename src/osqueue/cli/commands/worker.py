"""``osqueue worker``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from osqueue.cli import options
from osqueue.cli.failures import USAGE, CliError
from osqueue.cli.logs import LogFormat, LogLevel
from osqueue.cli.sizes import byte_count
from osqueue.cli.ways import speaks_to_brokers

if TYPE_CHECKING:  # it needs the client's packages
    from osqueue.cli.workers.plan import WorkerPlan

__all__ = ["worker"]

SEVERAL = "One or several processes"

Target = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:NAME", help="What to run, such as myapp.jobs:jobs.", show_default=False
    ),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency",
        "-c",
        metavar="N",
        envvar="OSQUEUE_CONCURRENCY",
        help="Most jobs at a time (default: 1).",
        show_default=False,
    ),
]
TypeConcurrency = Annotated[
    list[str] | None,
    typer.Option(
        "--type-concurrency",
        metavar="TYPE=N",
        help="Most jobs of a type at a time, such as email:send=2; repeatable.",
        show_default=False,
    ),
]
Prefetch = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        envvar="OSQUEUE_PREFETCH",
        help="Jobs held beyond those that run, so that none waits for the broker (default: 0).",
        show_default=False,
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(
        "--processes",
        "-p",
        metavar="N",
        envvar="OSQUEUE_PROCESSES",
        help="Run so many worker processes, and replace those that die.",
        show_default=False,
        rich_help_panel=SEVERAL,
    ),
]
MemoryMax = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        envvar="OSQUEUE_MEMORY_MAX",
        help="Replace a process that takes more, such as 512M; those of handlers are held to it.",
        show_default=False,
        rich_help_panel=SEVERAL,
    ),
]
HeartbeatFile = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        envvar="OSQUEUE_HEARTBEAT_FILE",
        help="Touch this file every 5 s while the worker is well and a broker answers.",
        show_default=False,
        rich_help_panel=SEVERAL,
    ),
]
Reload = Annotated[
    bool,
    typer.Option(
        "--reload",
        help="Start anew when a source file changes: for development.",
        rich_help_panel=SEVERAL,
    ),
]
Member = Annotated[int | None, typer.Option("--member", hidden=True)]
"""The descriptor by which one of several processes is told what to be."""


@speaks_to_brokers
def worker(  # noqa: PLR0913 - the signature is the list of options
    context: typer.Context,
    *,
    target: Target,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    brokerless: options.Brokerless = False,
    concurrency: Concurrency = None,
    type_concurrency: TypeConcurrency = None,
    prefetch: Prefetch = None,
    processes: Processes = None,
    reload: Reload = False,
    memory_max: MemoryMax = None,
    heartbeat_file: HeartbeatFile = None,
    log_format: options.LogFormatOption = LogFormat.TEXT,
    log_level: options.LogLevelOption = LogLevel.INFO,
    supervised: options.Supervised = False,
    debug: options.Debug = False,
    member: Member = None,
) -> int:
    """Run a worker: it claims jobs and runs their handlers.

    MODULE is imported with the current directory on the path. NAME is an
    osqueue.Jobs, a Registry whose types say their handlers, a dictionary from
    job types to functions, or a function that takes a client and returns a
    Worker.

    On Ctrl-C or SIGTERM it claims nothing more, lets running jobs finish,
    and gives the rest back; on a second one it gives back all at once.
    """
    if member is not None:
        return _be_member(context, member)
    options.set_up(context, debug=debug, log_format=log_format, log_level=log_level)
    for name, least in (("concurrency", 1), ("prefetch", 0), ("processes", 1)):
        if (value := context.params[name]) is not None:
            options.check_range(context, name, value, least=least)
    if reload and processes is not None:
        where = options.origin_of(context, "processes")
        raise CliError(f"--reload is for one process: leave {where} out", code=USAGE)
    from osqueue.cli.workers.plan import WorkerPlan  # noqa: PLC0415 - loads what it needs

    plan = WorkerPlan(
        target=target,
        broker=options.broker(context, broker_url, storage, brokerless=brokerless),
        concurrency=concurrency,
        type_concurrency=_limits(type_concurrency or ()),
        prefetch=prefetch,
        processes=processes,
        reload=reload,
        memory_bytes_max=_memory(context, memory_max),
        heartbeat_file=heartbeat_file or None,
        supervised=supervised,
        log_format=log_format,
        log_level=log_level,
        debug=debug,
    )
    return _run(plan)


def _run(plan: WorkerPlan) -> int:
    from osqueue.cli import workers  # noqa: PLC0415 - loads the client and its packages

    return workers.run(plan)


def _be_member(context: typer.Context, fd: int) -> int:
    from osqueue.cli.workers import running  # noqa: PLC0415 - the same
    from osqueue.cli.workers.control import Control  # noqa: PLC0415 - the same

    control = Control(fd)
    plan = control.plan()
    options.set_up(context, debug=plan.debug, log_format=plan.log_format, log_level=plan.log_level)
    return running.run(plan, control)


def _limits(said: Sequence[str]) -> dict[str, int]:
    """``email:send=2`` and the like."""
    limits = {}
    for each in said:
        job_type, found, count = each.rpartition("=")
        if not (found and job_type and count.isascii() and count.isdecimal() and int(count)):
            message = f"{each!r} is not TYPE=N, such as email:send=2"
            raise CliError(f"--type-concurrency: {message}", code=USAGE)
        limits[job_type] = int(count)
    return limits


def _memory(context: typer.Context, said: str | None) -> int | None:
    if not said:
        return None
    from osqueue.config import PROCESS_MEMORY_BYTES_MIN  # noqa: PLC0415 - the same

    count = byte_count(said, options.origin_of(context, "memory_max"))
    options.check_range(context, "memory_max", count, least=PROCESS_MEMORY_BYTES_MIN)
    return count
