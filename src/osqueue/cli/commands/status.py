"""``osqueue status``."""

from __future__ import annotations

import typer

from osqueue.cli import options
from osqueue.cli.ways import speaks_to_brokers

__all__ = ["status"]


@speaks_to_brokers
def status(
    context: typer.Context,
    *,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> None:
    """Show which broker leads, who stands by, and how it is doing."""
    options.set_up(context, debug=debug)
    from osqueue.cli import leading  # noqa: PLC0415 - loads the client and its packages

    leading.show(options.broker(context, broker_url, storage), json_output=json_output)
