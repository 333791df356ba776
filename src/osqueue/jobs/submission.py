"""What a submit takes: a job's type, its payload, and how it is to be treated."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TypedDict, TypeVar

import msgspec

from osqueue.config import RetryPolicy
from osqueue.jobs.backoff import Backoff
from osqueue.jobs.schema import Schema

__all__ = ["CheckedJob", "JobOptions", "NamedJob", "NewJob"]

ResultT_co = TypeVar("ResultT_co", covariant=True)


class NamedJob(Protocol):
    """What names a job: a handle, a claimed job, or a `NewJob` that stands before in its batch."""

    @property
    def job_id(self) -> str | None: ...


class JobOptions(TypedDict, total=False):
    """What a submit may say beside type and payload.

    - ``job_id``: makes the submit idempotent for the caller, too; by default a fresh UUIDv7.
    - ``max_attempts``: attempts until the job becomes a dead letter; 3 by default.
    - ``priority``: lower runs first; 0 by default.
    - ``run_at``: not before this time, a `datetime` with a time zone or ms since the epoch.
    - ``delay_ms``: not before that much from now, by this machine's clock.
    - ``traceparent``: where the job comes from, as W3C Trace Context writes it; by default the
      span of this submit, if the program traces with OpenTelemetry.
    - ``retry``: how long it waits after a failed attempt; by default 1 s, then 2, 4, 8, up to an
      hour, each less up to a quarter.
    - ``timeout_ms``: the time of one attempt, which the worker keeps; by default none.
    - ``keep_result``: whether what the handler returns is kept with the finished job.
    - ``after``: the jobs that have to be completed before it runs, at most 100: ids, handles of
      submitted jobs, or a `NewJob` that stands before it in the same `submit_jobs`.

    A default is the job type's, where a registry says one.
    """

    job_id: str | None
    max_attempts: int | None
    priority: int
    run_at: datetime | int | None
    delay_ms: int | None
    traceparent: str | None
    retry: Backoff | RetryPolicy | None
    timeout_ms: int | None
    keep_result: bool | None
    after: Sequence[str | NamedJob]


class NewJob(msgspec.Struct, frozen=True):
    """A job to submit. An empty type is no type. See `JobOptions`."""

    type: str
    payload: Any = None
    job_id: str | None = None
    max_attempts: int | None = None
    priority: int = 0
    run_at: datetime | int | None = None
    delay_ms: int | None = None
    traceparent: str | None = None
    retry: Backoff | RetryPolicy | None = None
    timeout_ms: int | None = None
    keep_result: bool | None = None
    after: Sequence[str | NamedJob] = ()


class CheckedJob(NewJob, Generic[ResultT_co], frozen=True):
    """A job whose payload is known to fit its type: `TypedJob.new` makes it."""

    result_schema: Schema | None = None
    """What its handler returns, where that is known here."""
