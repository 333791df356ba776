"""Schedules as callers say and see them. Pure."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec
from msgspec import UNSET

from osqueue.client.models import NewJob
from osqueue.client.payloads import decode_payload, encode_payload
from osqueue.client.requests import job_of
from osqueue.config import RetryPolicy
from osqueue.errors import BrokerProtocolError
from osqueue.jobs.backoff import Backoff
from osqueue.jobs.payload_types import PayloadObject
from osqueue.jobs.registry import Registry
from osqueue.jobs.submission import JobOptions
from osqueue.wire import schedules as wire
from osqueue.wire.schedules import PutScheduleRequest

__all__ = ["ScheduleInfo", "ScheduleOptions", "ScheduledJob", "put_request", "schedule_info"]


class ScheduleOptions(JobOptions, total=False):
    """When a schedule comes, and what a submit may say of its jobs.

    - ``cron``: five fields, minute hour day month weekday, such as ``0 3 * * *``;
    - ``timezone``: in which that is meant, such as ``Europe/Rome``; UTC by default.
    - ``every_ms``: the interval, instead of ``cron``; a second at least.
    - ``missed``: ``once`` (the default) makes one job of all the times that were missed while no
      broker led, ``skip`` none.
    - ``paused``: whether it is to be; by default it stays as it is.

    The ids and times of its jobs are the schedule's, so ``job_id``, ``run_at``, ``delay_ms`` and
    ``traceparent`` are refused.
    """

    cron: str | None
    timezone: str | None
    every_ms: int | None
    missed: str | None
    paused: bool | None


_TIMING: Final = ("cron", "timezone", "every_ms", "missed", "paused")
_ITS_OWN: Final = ("job_id", "run_at", "delay_ms", "traceparent")


class ScheduledJob(msgspec.Struct, frozen=True):
    """A job whose payload has been checked, and when it is to be submitted."""

    job: NewJob
    timing: dict[str, Any]

    @staticmethod
    def of(
        types: Registry | None,
        job: NewJob | PayloadObject | str,
        payload: object,
        options: ScheduleOptions,
    ) -> ScheduledJob:
        """What a caller means. Raises as `OsqueueClient.put_schedule` does."""
        said: dict[str, Any] = {**options}
        timing: dict[str, Any] = {name: said.pop(name) for name in _TIMING if name in said}
        given = NewJob(job, payload) if isinstance(job, str) else job
        checked = job_of(types, given, cast("JobOptions", said))
        for name in _ITS_OWN:
            if getattr(checked, name) is not None:
                raise BrokerProtocolError(f"{name}: the schedule gives its jobs that; leave it out")
        return ScheduledJob(checked, timing)


class ScheduleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it stands.

    ``when`` says in words when it comes. ``next_at`` is ``None`` while it is paused, or when it
    comes never again; ``last_at`` is the time that came last, and ``last_job_id`` its job.
    """

    name: str
    type: str
    raw_payload: bytes | None
    cron: str | None
    timezone: str | None
    every_ms: int | None
    when: str
    priority: int
    max_attempts: int | None
    retry: RetryPolicy | None
    timeout_ms: int | None
    keep_result: bool
    missed: str
    paused: bool
    created_at: int
    next_at: int | None
    last_at: int | None
    last_job_id: str | None
    payload_hidden: bool = False
    """Whether the payload is not shown, as the token that asks may not see it."""

    @property
    def payload(self) -> Any:
        """The payload of its jobs, decoded anew each time; ``None`` when it is not shown."""
        return None if self.raw_payload is None else decode_payload(self.raw_payload)


def put_request(name: str, scheduled: ScheduledJob) -> PutScheduleRequest:
    """The request to keep a schedule."""
    job = scheduled.job
    return PutScheduleRequest(
        name=name,
        type=job.type or None,
        payload=encode_payload(job.payload),
        priority=job.priority,
        max_attempts=job.max_attempts,
        retry=job.retry.policy() if isinstance(job.retry, Backoff) else job.retry,
        timeout_ms=job.timeout_ms,
        keep_result=bool(job.keep_result),
        **scheduled.timing,
    )


def schedule_info(info: wire.ScheduleInfo) -> ScheduleInfo:
    """A schedule as it travels, as it is shown."""
    said = msgspec.structs.asdict(info)
    payload = said.pop("payload")
    shown = payload is not UNSET and not info.payload_hidden
    return ScheduleInfo(raw_payload=bytes(payload) if shown else None, **said)
