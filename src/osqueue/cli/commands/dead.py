"""``osqueue dead``."""

from __future__ import annotations

import typer

from osqueue.cli import options
from osqueue.cli.ways import speaks_to_brokers

__all__ = ["dead"]


@speaks_to_brokers
def dead(
    context: typer.Context,
    *,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    brokerless: options.Brokerless = False,
    consistent: options.Consistent = False,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> None:
    """Show the dead jobs by their errors, those that differ only in numbers together.

    Queue them again with `osqueue jobs retry --text ERROR`. With --json, one group a line, with the
    jobs' ids.
    """
    options.set_up(context, debug=debug)
    from osqueue.cli import looking  # noqa: PLC0415 - loads the client and its packages

    looking.dead(
        options.broker(context, broker_url, storage, brokerless=brokerless),
        consistent=consistent,
        json_output=json_output,
    )
