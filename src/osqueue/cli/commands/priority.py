"""``osqueue priority``."""

from __future__ import annotations

from typing import Annotated

import typer

from osqueue.cli import options
from osqueue.cli.ways import speaks_to_brokers

__all__ = ["NEGATIVE", "priority"]

NEGATIVE = {"ignore_unknown_options": True}
"""So that ``-5`` is a number here, and not an option."""


@speaks_to_brokers
def priority(
    context: typer.Context,
    *,
    job_id: Annotated[str, typer.Argument(metavar="ID", help="The job's id.")],
    number: Annotated[int, typer.Argument(metavar="N", help="Lower runs first; 0 is usual.")],
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    brokerless: options.Brokerless = False,
    debug: options.Debug = False,
) -> None:
    """Let a job that waits come sooner or later."""
    options.set_up(context, debug=debug)
    from osqueue.cli import looking  # noqa: PLC0415 - loads the client and its packages

    looking.set_priority(
        options.broker(context, broker_url, storage, brokerless=brokerless), job_id, number
    )
