"""``osqueue pause`` and ``osqueue resume``."""

from __future__ import annotations

import typer

from osqueue.cli import options
from osqueue.cli.ways import speaks_to_brokers

__all__ = ["pause", "resume"]


@speaks_to_brokers
def pause(
    context: typer.Context,
    *,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    brokerless: options.Brokerless = False,
    debug: options.Debug = False,
) -> None:
    """Hand out no more jobs until the queue is resumed.

    What workers hold goes on, and new jobs are taken in. It lasts, whichever broker leads.
    """
    options.set_up(context, debug=debug)
    from osqueue.cli import looking  # noqa: PLC0415 - loads the client and its packages

    looking.pause(options.broker(context, broker_url, storage, brokerless=brokerless))


@speaks_to_brokers
def resume(
    context: typer.Context,
    *,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    brokerless: options.Brokerless = False,
    debug: options.Debug = False,
) -> None:
    """Hand out jobs again. Workers that wait get theirs at once."""
    options.set_up(context, debug=debug)
    from osqueue.cli import looking  # noqa: PLC0415 - loads the client and its packages

    looking.resume(options.broker(context, broker_url, storage, brokerless=brokerless))
