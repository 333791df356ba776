"""``osqueue worker``."""

from __future__ import annotations

from typing import Annotated

import typer

from osqueue.cli import options
from osqueue.cli.logs import LogFormat, LogLevel
from osqueue.cli.ways import speaks_to_brokers

__all__ = ["worker"]

Target = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:NAME", help="What to run, such as myapp.jobs:worker.", show_default=False
    ),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency",
        "-c",
        metavar="N",
        envvar="OSQUEUE_CONCURRENCY",
        help="Most jobs at a time, for a dictionary of handlers (default: 1).",
        show_default=False,
    ),
]


@speaks_to_brokers
def worker(  # noqa: PLR0913 - the signature is the list of options
    context: typer.Context,
    *,
    target: Target,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    brokerless: options.Brokerless = False,
    concurrency: Concurrency = None,
    log_format: options.LogFormatOption = LogFormat.TEXT,
    log_level: options.LogLevelOption = LogLevel.INFO,
    supervised: options.Supervised = False,
    debug: options.Debug = False,
) -> int:
    """Run a worker: it claims jobs and runs their handlers.

    MODULE is imported with the current directory on the path. NAME is a
    dictionary from job types to functions, or a function that takes a client
    and returns a Worker.

    On Ctrl-C or SIGTERM it claims nothing more, lets running jobs finish,
    and gives the rest back.
    """
    options.set_up(context, debug=debug, log_format=log_format, log_level=log_level)
    if concurrency is not None:
        options.check_range(context, "concurrency", concurrency, least=1)
    from osqueue.cli import working  # noqa: PLC0415 - loads the client and its packages

    plan = working.WorkerPlan(
        target=target,
        broker=options.broker(context, broker_url, storage, brokerless=brokerless),
        concurrency=concurrency,
        supervised=supervised,
    )
    return working.run(plan)
