"""``osqueue schedules``, ``osqueue schedules put``, ``drop``, ``pause``, ``resume`` and ``run``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from osqueue.cli import options
from osqueue.cli.commands.submit import JobType, MaxAttempts, Payload, Priority, Timeout
from osqueue.cli.ways import speaks_to_brokers

__all__ = ["schedules"]

schedules = typer.Typer(help="List schedules, and make, drop, pause, resume or run some.")


class Missed(StrEnum):
    """What is made of times that were missed."""

    ONCE = "once"
    SKIP = "skip"


Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")]
Cron = Annotated[
    str | None,
    typer.Option(
        metavar="FIELDS", help="When: minute hour day month weekday, such as '0 3 * * *'."
    ),
]
Timezone = Annotated[
    str | None,
    typer.Option(metavar="ZONE", help="Of --cron, such as Europe/Rome (default: UTC)."),
]
Every = Annotated[
    str | None, typer.Option(metavar="TIME", help="Instead of --cron, an interval: 90s, 15m, 2h.")
]
OfMissed = Annotated[
    Missed,
    typer.Option(
        metavar="WHAT", help="Of times missed while no broker led: once for all of them, or skip."
    ),
]
Paused = Annotated[
    bool | None,
    typer.Option("--paused/--not-paused", help="Whether it is (default: as it was, or not)."),
]
KeepResult = Annotated[
    bool, typer.Option("--keep-result", help="Keep what the handler returns with each job.")
]


@schedules.callback(invoke_without_command=True)
@speaks_to_brokers
def list_schedules(
    context: typer.Context,
    *,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    consistent: options.Consistent = False,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> None:
    """List schedules, and make, drop, pause, resume or run some.

    With --json, one schedule a line.
    """
    options.set_up(context, debug=debug)
    if context.invoked_subcommand is None:
        from osqueue.cli import scheduling  # noqa: PLC0415 - loads the client and its packages

        broker = options.broker(context, broker_url, storage)
        scheduling.list_all(broker, consistent=consistent, json_output=json_output)


@schedules.command()
@speaks_to_brokers
def put(  # noqa: PLR0913 - the signature is the list of options
    context: typer.Context,
    *,
    name: Name,
    job_type: JobType,
    payload: Payload = "null",
    cron: Cron = None,
    timezone: Timezone = None,
    every: Every = None,
    missed: OfMissed = Missed.ONCE,
    paused: Paused = None,
    priority: Priority = 0,
    max_attempts: MaxAttempts = None,
    timeout: Timeout = None,
    keep_result: KeepResult = False,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> None:
    """Have a job submitted again and again, or say anew when and what.

    It is not enough to say what has changed: the schedule is replaced as a whole.
    """
    options.set_up(context, debug=debug)
    from osqueue.cli import durations, scheduling  # noqa: PLC0415 - loads the client

    plan = scheduling.Plan(
        job_type=job_type,
        payload=payload,
        cron=cron,
        timezone=timezone,
        every_ms=None if every is None else durations.milliseconds(every, "--every"),
        missed=missed.value,
        paused=paused,
        priority=priority,
        max_attempts=max_attempts,
        timeout_ms=None if timeout is None else round(timeout * 1_000),
        keep_result=keep_result,
    )
    broker = options.broker(context, broker_url, storage)
    scheduling.put(broker, name, plan, json_output=json_output)


@schedules.command()
@speaks_to_brokers
def drop(
    context: typer.Context,
    *,
    name: Name,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    debug: options.Debug = False,
) -> None:
    """Forget a schedule. The jobs that it has submitted stay."""
    options.set_up(context, debug=debug)
    from osqueue.cli import scheduling  # noqa: PLC0415 - loads the client and its packages

    scheduling.drop(options.broker(context, broker_url, storage), name)


@schedules.command()
@speaks_to_brokers
def pause(
    context: typer.Context,
    *,
    name: Name,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    debug: options.Debug = False,
) -> None:
    """Let a schedule submit nothing until it is resumed."""
    options.set_up(context, debug=debug)
    from osqueue.cli import scheduling  # noqa: PLC0415 - loads the client and its packages

    scheduling.pause(options.broker(context, broker_url, storage), name)


@schedules.command()
@speaks_to_brokers
def resume(
    context: typer.Context,
    *,
    name: Name,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    debug: options.Debug = False,
) -> None:
    """Let a schedule submit jobs again, from its next time on."""
    options.set_up(context, debug=debug)
    from osqueue.cli import scheduling  # noqa: PLC0415 - loads the client and its packages

    scheduling.resume(options.broker(context, broker_url, storage), name)


@schedules.command()
@speaks_to_brokers
def run(
    context: typer.Context,
    *,
    name: Name,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> None:
    """Submit a job of a schedule now, beside its times, and print its id."""
    options.set_up(context, debug=debug)
    from osqueue.cli import scheduling  # noqa: PLC0415 - loads the client and its packages

    broker = options.broker(context, broker_url, storage)
    scheduling.run(broker, name, json_output=json_output)
