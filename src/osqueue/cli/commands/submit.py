"""``osqueue submit``."""

from __future__ import annotations

from typing import Annotated

import typer

from osqueue.cli import options
from osqueue.cli.ways import speaks_to_brokers

__all__ = ["submit"]

DELAY_S_MAX = 10 * 365 * 86_400
"""Ten years: what is later is a mistake."""

TIMEOUT_S_MIN = 0.001

JobType = Annotated[
    str, typer.Argument(metavar="TYPE", help="The job's type, which picks its handler.")
]
Payload = Annotated[str, typer.Argument(metavar="JSON", help="The payload; - reads it from stdin.")]
JobId = Annotated[
    str | None,
    typer.Option(
        "--id", metavar="ID", help="Submitting the same id again adds nothing (default: new)."
    ),
]
Priority = Annotated[int, typer.Option(metavar="N", help="Lower runs first.")]
MaxAttempts = Annotated[
    int | None, typer.Option(metavar="N", help="Attempts before it becomes a dead letter.")
]
Delay = Annotated[float, typer.Option(metavar="SECONDS", help="Not before that much from now.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", help="Time of one attempt, which its worker keeps (default: no end)."
    ),
]
After = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ID", help="Not before this job is completed; may be given more than once."
    ),
]
Wait = Annotated[
    bool,
    typer.Option(
        "--wait", help="Wait until it has ended, and print what its handler returned, as JSON."
    ),
]


@speaks_to_brokers
def submit(  # noqa: PLR0913 - the signature is the list of options
    context: typer.Context,
    *,
    job_type: JobType,
    payload: Payload = "null",
    job_id: JobId = None,
    priority: Priority = 0,
    max_attempts: MaxAttempts = None,
    delay: Delay = 0,
    timeout: Timeout = None,
    after: After = None,
    wait: Wait = False,
    broker_url: options.BrokerUrl = None,
    storage: options.ClientStorage = None,
    brokerless: options.Brokerless = False,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> None:
    """Submit one job and print its id, once it is safely stored.

    With --wait, print its result instead, once it is done; exit with 1, and
    say why, if it fails for good.
    """
    options.set_up(context, debug=debug)
    options.check_range(context, "delay", delay, least=0, most=DELAY_S_MAX)
    if max_attempts is not None:
        options.check_range(context, "max_attempts", max_attempts, least=0)
    if timeout is not None:
        options.check_range(context, "timeout", timeout, least=TIMEOUT_S_MIN, most=DELAY_S_MAX)
    from osqueue.cli import asking  # noqa: PLC0415 - loads the client and its packages
    from osqueue.client import NewJob  # noqa: PLC0415 - the same

    job = NewJob(
        type=job_type,
        payload=asking.parse_payload(payload),
        job_id=job_id,
        max_attempts=max_attempts,
        priority=priority,
        delay_ms=round(delay * 1_000) or None,
        timeout_ms=None if timeout is None else round(timeout * 1_000),
        keep_result=True if wait else None,
        after=after or (),
    )
    broker = options.broker(context, broker_url, storage, brokerless=brokerless)
    submit = asking.submit_and_wait if wait else asking.submit
    submit(broker, job, json_output=json_output)
