"""Looking at a queue's jobs, and deciding what becomes of some, or of the queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from osqueue.cli import tables
from osqueue.cli.asking import ask
from osqueue.cli.failures import CliError
from osqueue.cli.options import Broker
from osqueue.cli.output import say, say_json
from osqueue.client import EndedPage, JobInfo, JobsPage, OsqueueClient
from osqueue.config import LIST_PAGE_MAX
from osqueue.errors import OsqueueError

__all__ = [
    "JobsQuery",
    "cancel",
    "dead",
    "list_ended",
    "list_jobs",
    "pause",
    "resume",
    "retry",
    "set_priority",
    "settings",
    "show",
    "stats",
]


class JobsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs to list, at most how many (0: all), and whether by consistent reads."""

    status: StrEnum | None
    job_type: str | None
    text: str | None = None
    order: str = "oldest"
    limit: int
    payloads: bool = False
    """A table shows none."""
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
    """Print jobs, in their order of arrival or the reverse."""
    _print_jobs(ask(broker, lambda client: _collect(client, query)), json_output=json_output)


def list_ended(broker: Broker, query: JobsQuery, *, json_output: bool) -> None:
    """Print jobs that have ended, the last first."""
    _print_jobs(ask(broker, lambda client: _collect_ended(client, query)), json_output=json_output)


def dead(broker: Broker, *, consistent: bool, json_output: bool) -> None:
    """Print the dead letters by their errors."""
    found = ask(broker, lambda client: client.list_dead_groups(consistent=consistent))
    if json_output:
        for group in found.groups:
            say_json(msgspec.to_builtins(group))
    else:
        tables.print_dead_groups(found)


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


def set_priority(broker: Broker, job_id: str, priority: int) -> None:
    """Let a job that waits come sooner or later."""
    ask(broker, lambda client: client.set_priority(job_id, priority))
    say(f"{job_id} has priority {priority}")


def pause(broker: Broker) -> None:
    """Hand out no more jobs."""
    ask(broker, lambda client: client.pause_queue())
    say("paused: no job is handed out until `osqueue resume`")


def resume(broker: Broker) -> None:
    """Hand out jobs again."""
    ask(broker, lambda client: client.resume_queue())
    say("resumed")


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
        "payloadHidden": job.payload_hidden or None,
        "after": list(job.after) or None,
        "waitsFor": list(job.waits_for) or None,
    }
    known = {name: value for name, value in fields.items() if value is not None}
    if job.raw_payload is not None:
        known["payload"] = job.payload
    if job.raw_result is not None:
        known["result"] = job.result
    return known


def _plain(value: object) -> Any:
    return None if value is None else msgspec.to_builtins(value)


def _print_jobs(found: Found, *, json_output: bool) -> None:
    if json_output:
        for job in found.jobs:
            say_json(as_json(job))
    else:
        tables.print_jobs(found.jobs, more=found.more)


class Found(NamedTuple):
    """Jobs, and whether there may be more than asked for."""

    jobs: list[JobInfo]
    more: bool


async def _collect(client: OsqueueClient, query: JobsQuery) -> Found:
    def page(cursor: str | None, limit: int) -> Coroutine[Any, Any, JobsPage]:
        return client.list_jobs(
            status=_word(query.status),
            job_type=query.job_type,
            text=query.text,
            order=query.order,
            limit=limit,
            cursor=cursor,
            payloads=query.payloads,
            consistent=query.consistent,
        )

    return await _gather(page, query.limit)


async def _collect_ended(client: OsqueueClient, query: JobsQuery) -> Found:
    def page(cursor: str | None, limit: int) -> Coroutine[Any, Any, EndedPage]:
        return client.list_ended(
            status=_word(query.status),
            job_type=query.job_type,
            text=query.text,
            limit=limit,
            cursor=cursor,
            payloads=query.payloads,
            consistent=query.consistent,
        )

    return await _gather(page, query.limit)


async def _gather(
    page: Callable[[str | None, int], Coroutine[Any, Any, JobsPage | EndedPage]], limit: int
) -> Found:
    """The jobs of as many pages as it takes."""
    found: list[JobInfo] = []
    cursor: str | None = None
    while True:
        wanted = min(LIST_PAGE_MAX, limit - len(found)) if limit else LIST_PAGE_MAX
        got = await page(cursor, wanted)
        found += got.jobs
        cursor = got.next_cursor
        if cursor is None or len(found) == limit:
            return Found(found, cursor is not None)


def _word(status: StrEnum | None) -> str | None:
    return None if status is None else str(status)


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
