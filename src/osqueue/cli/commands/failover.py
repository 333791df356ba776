"""``osqueue failover``."""

from __future__ import annotations

import typer

from osqueue.cli import options
from osqueue.cli.ways import speaks_to_brokers

__all__ = ["failover"]


@speaks_to_brokers
def failover(
    context: typer.Context,
    *,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    debug: options.Debug = False,
) -> None:
    """Have the leading broker hand over to one that stands by, such as before maintenance."""
    options.set_up(context, debug=debug)
    from osqueue.cli import leading  # noqa: PLC0415 - loads the client and its packages

    leading.fail_over(options.broker(context, broker_url, storage))
