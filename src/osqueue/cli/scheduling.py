"""Looking at schedules, and deciding what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from osqueue.cli.asking import ask, parse_payload
from osqueue.cli.failures import CliError
from osqueue.cli.options import Broker
from osqueue.cli.output import say, say_json
from osqueue.cli.tables import age, make_console, print_table, time
from osqueue.client import NewJob, OsqueueClient, ScheduleInfo
from osqueue.clock import SystemClock

__all__ = ["Plan", "drop", "list_all", "pause", "put", "resume", "run"]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be submitted, and when."""

    job_type: str
    payload: str
    cron: str | None
    timezone: str | None
    every_ms: int | None
    missed: str
    paused: bool | None
    priority: int
    max_attempts: int | None
    timeout_ms: int | None
    keep_result: bool


def list_all(broker: Broker, *, consistent: bool, json_output: bool) -> None:
    """Print all schedules."""
    found = ask(broker, lambda client: client.list_schedules(consistent=consistent))
    if json_output:
        for schedule in found:
            say_json(as_json(schedule))
    else:
        _print(found)


def put(broker: Broker, name: str, plan: Plan, *, json_output: bool) -> None:
    """Keep a schedule, and say when it comes next."""
    job = NewJob(
        type=plan.job_type,
        payload=parse_payload(plan.payload),
        priority=plan.priority,
        max_attempts=plan.max_attempts,
        timeout_ms=plan.timeout_ms,
        keep_result=plan.keep_result,
    )
    kept = ask(
        broker,
        lambda client: client.put_schedule(
            name,
            job,
            cron=plan.cron,
            timezone=plan.timezone,
            every_ms=plan.every_ms,
            missed=plan.missed,
            paused=plan.paused,
        ),
    )
    if json_output:
        say_json(as_json(kept))
    else:
        say(f"{name}: {kept.when}; {_next(kept)}")


def drop(broker: Broker, name: str) -> None:
    """Forget a schedule, which must be there: a name that is misspelt is not passed over."""
    ask(broker, lambda client: _drop(client, name))
    say(f"{name} dropped")


def pause(broker: Broker, name: str) -> None:
    """Let a schedule submit nothing."""
    ask(broker, lambda client: client.pause_schedule(name))
    say(f"{name} paused")


def resume(broker: Broker, name: str) -> None:
    """Let a schedule submit jobs again."""
    ask(broker, lambda client: client.resume_schedule(name))
    say(f"{name} resumed")


def run(broker: Broker, name: str, *, json_output: bool) -> None:
    """Submit a job of a schedule, and print its id."""
    job_id = ask(broker, lambda client: client.run_schedule(name))
    if json_output:
        say_json({"jobId": job_id})
    else:
        say(job_id)


def as_json(schedule: ScheduleInfo) -> dict[str, Any]:
    """A schedule with the names of the REST interface, without what is not said."""
    fields = {
        "name": schedule.name,
        "type": schedule.type,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "everyMs": schedule.every_ms,
        "when": schedule.when,
        "priority": schedule.priority,
        "maxAttempts": schedule.max_attempts,
        "retry": None if schedule.retry is None else msgspec.to_builtins(schedule.retry),
        "timeoutMs": schedule.timeout_ms,
        "keepResult": schedule.keep_result or None,
        "missed": schedule.missed,
        "paused": schedule.paused,
        "createdAt": schedule.created_at,
        "nextAt": schedule.next_at,
        "lastAt": schedule.last_at,
        "lastJobId": schedule.last_job_id,
        "payloadHidden": schedule.payload_hidden or None,
    }
    known = {name: value for name, value in fields.items() if value is not None}
    if schedule.raw_payload is not None:
        known["payload"] = schedule.payload
    return known


async def _drop(client: OsqueueClient, name: str) -> None:
    if name not in {each.name for each in await client.list_schedules(consistent=True)}:
        raise CliError(f"there is no schedule {name!r}")
    await client.drop_schedule(name)


def _print(schedules: Sequence[ScheduleInfo]) -> None:
    console = make_console()
    if not schedules:
        console.print("no schedules")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("type", overflow="ellipsis", no_wrap=True)
    table.add_column("when", overflow="fold")
    table.add_column("next", no_wrap=True)
    table.add_column("last", justify="right", no_wrap=True)
    now_ms = SystemClock().wall_ms()
    for each in schedules:
        next_ = Text(_next(each).removeprefix("next "), style="yellow" if each.paused else "")
        table.add_row(each.name, Text(each.type), Text(each.when), next_, age(each.last_at, now_ms))
    print_table(console, table)


def _next(schedule: ScheduleInfo) -> str:
    if schedule.paused:
        return "paused"
    return "never again" if schedule.next_at is None else f"next {time(schedule.next_at)}"
