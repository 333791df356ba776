"""``osqueue jobs``, ``osqueue jobs show``, ``retry`` and ``cancel``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from osqueue.cli import options
from osqueue.cli.ways import speaks_to_brokers

__all__ = ["jobs"]

jobs = typer.Typer(help="List jobs, and look at, retry or cancel single ones.")

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]
JobIds = Annotated[list[str], typer.Argument(metavar="ID...", help="The jobs' ids.")]


class Status(StrEnum):
    """The statuses of jobs that are listed."""

    UNCLAIMED = "unclaimed"
    IN_PROGRESS = "in_progress"
    DEAD = "dead"


@jobs.callback(invoke_without_command=True)
@speaks_to_brokers
def list_jobs(  # noqa: PLR0913 - the signature is the list of options
    context: typer.Context,
    *,
    status: Annotated[
        Status | None,
        typer.Option(metavar="STATUS", help="Only unclaimed, in_progress or dead ones."),
    ] = None,
    job_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only jobs of this type.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", help="Most to show; 0 shows all.")
    ] = 20,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    brokerless: options.Brokerless = False,
    consistent: options.Consistent = False,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> None:
    """List jobs, and look at, retry or cancel single ones.

    With --json, one job a line. Jobs that were completed are counted, not listed.
    """
    options.set_up(context, debug=debug)
    if context.invoked_subcommand is not None:
        return
    from osqueue.cli import looking  # noqa: PLC0415 - loads the client and its packages

    options.check_range(context, "limit", limit, least=0)
    query = looking.JobsQuery(status=status, job_type=job_type, limit=limit, consistent=consistent)
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
def retry(
    context: typer.Context,
    *,
    job_ids: JobIds,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    brokerless: options.Brokerless = False,
    debug: options.Debug = False,
) -> None:
    """Queue dead jobs again, with all their attempts."""
    options.set_up(context, debug=debug)
    from osqueue.cli import looking  # noqa: PLC0415 - loads the client and its packages

    looking.retry(options.broker(context, broker_url, storage, brokerless=brokerless), job_ids)


@jobs.command()
@speaks_to_brokers
def cancel(
    context: typer.Context,
    *,
    job_ids: JobIds,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    brokerless: options.Brokerless = False,
    debug: options.Debug = False,
) -> None:
    """Cancel jobs that have not ended, or discard dead ones."""
    options.set_up(context, debug=debug)
    from osqueue.cli import looking  # noqa: PLC0415 - loads the client and its packages

    looking.cancel(options.broker(context, broker_url, storage, brokerless=brokerless), job_ids)
