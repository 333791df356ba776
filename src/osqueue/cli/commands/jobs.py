"""``osqueue jobs``, ``osqueue jobs show``, ``ended``, ``retry`` and ``cancel``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from osqueue.cli import options
from osqueue.cli.failures import USAGE, CliError
from osqueue.cli.ways import speaks_to_brokers

__all__ = ["jobs"]

jobs = typer.Typer(help="List jobs, and look at, retry or cancel some.")


class Status(StrEnum):
    """The statuses of jobs that are listed."""

    UNCLAIMED = "unclaimed"
    READY = "ready"
    DELAYED = "delayed"
    WAITING = "waiting"
    IN_PROGRESS = "in_progress"
    DEAD = "dead"


class EndStatus(StrEnum):
    """How jobs have ended that are listed."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    DISCARDED = "discarded"
    DEAD = "dead"


class Order(StrEnum):
    """Which jobs come first."""

    OLDEST = "oldest"
    NEWEST = "newest"


JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]
JobIds = Annotated[
    list[str] | None, typer.Argument(metavar="[ID...]", help="The jobs' ids.", show_default=False)
]
OfStatus = Annotated[
    Status | None,
    typer.Option(
        "--status",
        metavar="STATUS",
        help="Only unclaimed, in_progress or dead ones; ready, delayed and waiting (for other "
        "jobs) part the unclaimed.",
    ),
]
OfType = Annotated[
    str | None, typer.Option("--type", metavar="TYPE", help="Only jobs of this type.")
]
WithText = Annotated[
    str | None,
    typer.Option(
        "--text",
        metavar="TEXT",
        help="Only those with this in the id, type, worker's id or last error.",
    ),
]
Limit = Annotated[
    int, typer.Option("--limit", "-n", metavar="N", help="Most to show; 0 shows all.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]


@jobs.callback(invoke_without_command=True)
@speaks_to_brokers
def list_jobs(  # noqa: PLR0913 - the signature is the list of options
    context: typer.Context,
    *,
    status: OfStatus = None,
    job_type: OfType = None,
    text: WithText = None,
    order: Annotated[
        Order, typer.Option(metavar="ORDER", help="What comes first: oldest, newest.")
    ] = Order.OLDEST,
    limit: Limit = 20,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    brokerless: options.Brokerless = False,
    consistent: options.Consistent = False,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> None:
    """List jobs, and look at, retry or cancel some.

    With --json, one job a line. Jobs that have ended: `osqueue jobs ended`.
    """
    options.set_up(context, debug=debug)
    if context.invoked_subcommand is not None:
        return
    from osqueue.cli import looking  # noqa: PLC0415 - loads the client and its packages

    options.check_range(context, "limit", limit, least=0)
    query = looking.JobsQuery(
        status=status,
        job_type=job_type,
        text=text,
        order=order,
        limit=limit,
        payloads=json_output,
        consistent=consistent,
    )
    looking.list_jobs(
        options.broker(context, broker_url, storage, brokerless=brokerless),
        query,
        json_output=json_output,
    )


@jobs.command()
@speaks_to_brokers
def show(
    context: typer.Context,
    *,
    job_id: JobId,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    brokerless: options.Brokerless = False,
    consistent: options.Consistent = False,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> None:
    """Show all about one job, also one that ended a short while ago."""
    options.set_up(context, debug=debug)
    from osqueue.cli import looking  # noqa: PLC0415 - loads the client and its packages

    looking.show(
        options.broker(context, broker_url, storage, brokerless=brokerless),
        job_id,
        consistent=consistent,
        json_output=json_output,
    )


@jobs.command()
@speaks_to_brokers
def ended(  # noqa: PLR0913 - the signature is the list of options
    context: typer.Context,
    *,
    status: Annotated[
        EndStatus | None,
        typer.Option(
            metavar="STATUS",
            help="Only completed, cancelled, expired or discarded ones, or dead ones that left.",
        ),
    ] = None,
    job_type: OfType = None,
    text: WithText = None,
    limit: Limit = 20,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    brokerless: options.Brokerless = False,
    consistent: options.Consistent = False,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> None:
    """List jobs that have ended, the last first, for as long as the archive keeps them."""
    options.set_up(context, debug=debug)
    from osqueue.cli import looking  # noqa: PLC0415 - loads the client and its packages

    options.check_range(context, "limit", limit, least=0)
    query = looking.JobsQuery(
        status=status,
        job_type=job_type,
        text=text,
        limit=limit,
        payloads=json_output,
        consistent=consistent,
    )
    looking.list_ended(
        options.broker(context, broker_url, storage, brokerless=brokerless),
        query,
        json_output=json_output,
    )


@jobs.command()
@speaks_to_brokers
def retry(  # noqa: PLR0913 - the signature is the list of options
    context: typer.Context,
    *,
    job_ids: JobIds = None,
    job_type: OfType = None,
    text: WithText = None,
    everything: Annotated[bool, typer.Option("--all", help="Every dead job.")] = False,
    yes: Yes = False,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    brokerless: options.Brokerless = False,
    debug: options.Debug = False,
) -> None:
    """Queue dead jobs again, with all their attempts: those of the ids, or all that are meant.

    Without ids it is first said how many, and asked.
    """
    options.set_up(context, debug=debug)
    from osqueue.cli import bulk, looking  # noqa: PLC0415 - loads the client and its packages

    broker = options.broker(context, broker_url, storage, brokerless=brokerless)
    filtered = everything or (job_type, text) != (None, None)
    _check_meant(job_ids, filtered=filtered, how="--type, --text or --all")
    if job_ids:
        looking.retry(broker, job_ids)
    else:
        meant = bulk.JobsMeant(status=Status.DEAD.value, job_type=job_type, text=text)
        bulk.act(broker, "retry", meant, yes=yes)


@jobs.command()
@speaks_to_brokers
def cancel(  # noqa: PLR0913 - the signature is the list of options
    context: typer.Context,
    *,
    job_ids: JobIds = None,
    status: OfStatus = None,
    job_type: OfType = None,
    text: WithText = None,
    yes: Yes = False,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    brokerless: options.Brokerless = False,
    debug: options.Debug = False,
) -> None:
    """Cancel jobs that have not ended, or discard dead ones: those of the ids, or all that are
    meant.

    Without ids it is first said how many, and asked.
    """
    options.set_up(context, debug=debug)
    from osqueue.cli import bulk, looking  # noqa: PLC0415 - loads the client and its packages

    broker = options.broker(context, broker_url, storage, brokerless=brokerless)
    filtered = (status, job_type, text) != (None, None, None)
    _check_meant(job_ids, filtered=filtered, how="--status, --type or --text")
    if job_ids:
        looking.cancel(broker, job_ids)
    else:
        named = None if status is None else status.value
        meant = bulk.JobsMeant(status=named, job_type=job_type, text=text)
        bulk.act(broker, "cancel", meant, yes=yes)


def _check_meant(job_ids: list[str] | None, *, filtered: bool, how: str) -> None:
    """Raise `CliError` unless it is said which jobs, in one way."""
    if bool(job_ids) == filtered:
        both = "either the jobs' ids or" if filtered else "which jobs: their ids, or"
        raise CliError(f"say {both} {how}", code=USAGE)
