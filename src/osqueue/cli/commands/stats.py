"""``osqueue stats``."""

from __future__ import annotations

import typer

from osqueue.cli import options
from osqueue.cli.ways import speaks_to_brokers

__all__ = ["stats"]


@speaks_to_brokers
def stats(
    context: typer.Context,
    *,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    brokerless: options.Brokerless = False,
    consistent: options.Consistent = False,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> None:
    """Show how many jobs wait, run, and have ended."""
    options.set_up(context, debug=debug)
    from osqueue.cli import looking  # noqa: PLC0415 - loads the client and its packages

    looking.stats(
        options.broker(context, broker_url, storage, brokerless=brokerless),
        consistent=consistent,
        json_output=json_output,
    )
