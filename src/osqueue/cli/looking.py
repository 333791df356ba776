"""Looking at a queue's jobs, and retrying or cancelling some."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any

import msgspec

from osqueue.cli import tables
from osqueue.cli.asking import ask
from osqueue.cli.failures import CliError
from osqueue.cli.options import Broker
from osqueue.cli.output import say, say_json
from osqueue.client import JobInfo, OsqueueClient
from osqueue.config import LIST_PAGE_MAX
from osqueue.errors import OsqueueError

__all__ = ["JobsQuery", "cancel", "list_jobs", "retry", "settings", "show", "stats"]


class JobsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs to list, at most how many (0: all), and whether by consistent reads."""

    status: StrEnum | None
    job_type: str | None
    limit: int
    consistent: bool


def stats(broker: Broker, *, consistent: bool, json_output: bool) -> None:
    """Print the counts."""
    counts = ask(broker, lambda client: client.get_stats(consistent=consistent))
    if json_output:
        say_json(msgspec.to_builtins(counts))
    else:
        tables.print_stats(counts)


def settings(broker: Broker, *, json_output: bool) -> None:
    """Print the settings of a broker."""
    told = ask(broker, lambda client: client.get_settings())
    if json_output:
        say_json({each.name: msgspec.json.decode(each.value) for each in told})
    else:
        tables.print_settings(told)


def list_jobs(broker: Broker, query: JobsQuery, *, json_output: bool) -> None:
    """Print jobs, in their order of arrival."""
    found, more = ask(broker, lambda client: _collect(client, query))
    if json_output:
        for job in found:
            say_json(as_json(job))
    else:
        tables.print_jobs(found, more=more)


def show(broker: Broker, job_id: str, *, consistent: bool, json_output: bool) -> None:
    """Print one job."""
    job = ask(broker, lambda client: client.get_job(job_id, consistent=consistent))
    if json_output:
        say_json(as_json(job))
    else:
        tables.print_job(job)


def retry(broker: Broker, job_ids: list[str]) -> None:
    """Queue dead jobs again."""
    ask(broker, lambda client: _each(client.retry_job, job_ids, "queued again"))


def cancel(broker: Broker, job_ids: list[str]) -> None:
    """Cancel jobs."""
    ask(broker, lambda client: _each(client.cancel_job, job_ids, "cancelled"))


def as_json(job: JobInfo) -> dict[str, Any]:
    """A job with the names of the REST interface, without what is not known."""
    fields = {
        "id": job.job_id,
        "status": job.status,
        "type": job.type,
        "workerId": job.worker_id,
        "createdAt": job.created_at,
        "attempts": job.attempts,
        "maxAttempts": job.max_attempts,
        "heartbeat": job.heartbeat,
        "priority": job.priority,
        "runAt": job.run_at,
        "lastError": _plain(job.last_error),
        "endedAt": job.ended_at,
        "retry": _plain(job.retry),
        "timeoutMs": job.timeout_ms,
        "keepResult": job.keep_result or None,
        "progress": _plain(job.progress),
        "errors": _plain(list(job.errors)) or None,
    }
    known = {name: value for name, value in fields.items() if value is not None}
    if job.raw_payload is not None:
        known["payload"] = job.payload
    if job.raw_result is not None:
        known["result"] = job.result
    return known


def _plain(value: object) -> Any:
    return None if value is None else msgspec.to_builtins(value)


async def _collect(client: OsqueueClient, query: JobsQuery) -> tuple[list[JobInfo], bool]:
    """The jobs, and whether there may be more than asked for."""
    status = None if query.status is None else str(query.status)
    found: list[JobInfo] = []
    cursor: str | None = None
    while True:
        wanted = min(LIST_PAGE_MAX, query.limit - len(found)) if query.limit else LIST_PAGE_MAX
        page = await client.list_jobs(
            status=status,
            job_type=query.job_type,
            limit=wanted,
            cursor=cursor,
            consistent=query.consistent,
        )
        found += page.jobs
        cursor = page.next_cursor
        if cursor is None or len(found) == query.limit:
            return found, cursor is not None


async def _each(act: Callable[[str], Awaitable[None]], job_ids: list[str], done: str) -> None:
    """Do it to every job, also after one was refused."""
    refusals = []
    for job_id in job_ids:
        try:
            await act(job_id)
        except OsqueueError as error:
            refusals.append(error.message)
        else:
            say(f"{job_id} {done}")
    if refusals:
        raise CliError("; ".join(refusals))
