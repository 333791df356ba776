"""``osqueue settings``."""

from __future__ import annotations

import typer

from osqueue.cli import options
from osqueue.cli.ways import speaks_to_brokers

__all__ = ["settings"]


@speaks_to_brokers
def settings(
    context: typer.Context,
    *,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> None:
    """Show the settings of a broker as they hold, and the variables that set them."""
    options.set_up(context, debug=debug)
    from osqueue.cli import looking  # noqa: PLC0415 - loads the client and its packages

    looking.settings(options.broker(context, broker_url, storage), json_output=json_output)
