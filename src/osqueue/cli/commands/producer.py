"""``osqueue producer``."""

from __future__ import annotations

from typing import Annotated

import typer

from osqueue.cli import options
from osqueue.cli.logs import LogFormat, LogLevel
from osqueue.cli.ways import speaks_to_brokers

__all__ = ["producer"]

JobType = Annotated[
    str, typer.Argument(metavar="TYPE", help="The jobs' type, which picks their handler.")
]
Count = Annotated[
    int,
    typer.Option("--count", "-n", metavar="N", help="Jobs to generate; 0 goes on until stopped."),
]
Rate = Annotated[
    float | None,
    typer.Option(
        "--rate", "-r", metavar="N", help="Jobs per second (default: as fast as it goes)."
    ),
]
Payload = Annotated[
    str | None,
    typer.Option(metavar="JSON", help='Payload of each job (default: {"n": 1}, {"n": 2}, ...).'),
]
Source = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="FILE", help="One job for each line of JSON instead; - is stdin."
    ),
]


@speaks_to_brokers
def producer(  # noqa: PLR0913 - the signature is the list of options
    context: typer.Context,
    *,
    job_type: JobType,
    count: Count = 100,
    rate: Rate = None,
    payload: Payload = None,
    source: Source = None,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    log_format: options.LogFormatOption = LogFormat.TEXT,
    log_level: options.LogLevelOption = LogLevel.WARNING,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> int:
    """Submit many jobs: generated ones, or one for each line of JSON."""
    options.set_up(context, debug=debug, log_format=log_format, log_level=log_level)
    options.check_range(context, "count", count, least=0)
    from osqueue.cli import producing  # noqa: PLC0415 - loads the client and its packages

    plan = producing.ProducerPlan(
        job_type=job_type,
        count=count,
        rate=rate,
        payload=payload,
        source=source,
        json_output=json_output,
    )
    return producing.run(options.broker(context, broker_url, storage), plan)
