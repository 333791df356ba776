"""What a client takes and gives: values without behaviour, frozen. Times are ms since the epoch."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Raw, UnsetType

from osqueue.client.payloads import decode_payload
from osqueue.jobs.submission import JobOptions, NamedJob, NewJob
from osqueue.wire import messages
from osqueue.wire.messages import (
    ActionAnswer,
    BrokerStatus,
    DeadGroup,
    DeadGroups,
    JobError,
    JobsCount,
    Progress,
    RetryPolicy,
    Setting,
    Standby,
    Stats,
    WorkerInfo,
    Workflow,
    WorkflowEdge,
    WorkflowJob,
)

__all__ = [
    "ActionAnswer",
    "BrokerStatus",
    "DeadGroup",
    "DeadGroups",
    "EndedPage",
    "Job",
    "JobError",
    "JobInfo",
    "JobOptions",
    "JobsCount",
    "JobsPage",
    "NamedJob",
    "NewJob",
    "Progress",
    "RetryPolicy",
    "Setting",
    "Standby",
    "Stats",
    "WorkerInfo",
    "Workflow",
    "WorkflowEdge",
    "WorkflowJob",
]

_T = TypeVar("_T")
_D = TypeVar("_D")


class Job(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A job that a worker holds by its lease.

    ``attempt`` counts from 1.
    """

    job_id: str
    type: str
    raw_payload: bytes
    worker_id: str
    lease: str
    attempt: int
    max_attempts: int
    created_at: int
    priority: int = 0
    traceparent: str | None = None
    """Where the job comes from, as W3C Trace Context writes it."""
    timeout_ms: int | None = None
    """The time of one attempt."""
    keep_result: bool = False
    """Whether what the handler returns is to be kept."""

    @property
    def payload(self) -> Any:
        """The payload, decoded anew each time. Raises `PayloadValidationError`."""
        return decode_payload(self.raw_payload)


class JobInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A job as observers see it.

    ``status`` is ``unclaimed``, ``in_progress`` or ``dead``, and for a job that ended
    ``completed``, ``cancelled``, ``expired`` or ``discarded``; of those only little is kept.
    ``max_attempts`` is 0 when the job asked for none.
    """

    job_id: str
    status: str
    type: str
    raw_payload: bytes | None
    worker_id: str | None
    created_at: int | None
    attempts: int
    max_attempts: int
    heartbeat: int | None
    priority: int
    run_at: int | None
    last_error: JobError | None
    ended_at: int | None
    payload_bytes: int | None = None
    """Size of a large payload, which is not shown here: see `OsqueueClient.get_payload`."""
    retry: RetryPolicy | None = None
    """``None``: the broker's default."""
    timeout_ms: int | None = None
    keep_result: bool = False
    raw_result: bytes | None = None
    """What it brought, as JSON text; ``None`` when there is none."""
    progress: Progress | None = None
    """How far its worker said it was, while it runs."""
    errors: tuple[JobError, ...] = ()
    """Its last failures, oldest first, with `last_error`; in a listing there are none."""
    payload_hidden: bool = False
    """Whether payload or result are not shown, as the token that asks may not see them."""
    after: tuple[str, ...] = ()
    """The jobs that it was submitted to run after."""
    waits_for: tuple[str, ...] = ()
    """Those of them that are not completed yet."""

    @property
    def payload(self) -> Any:
        """The payload, decoded anew each time; ``None`` when it is not kept."""
        return None if self.raw_payload is None else decode_payload(self.raw_payload)

    @property
    def result(self) -> Any:
        """The result, decoded anew each time; ``None`` when there is none."""
        return None if self.raw_result is None else decode_payload(self.raw_result)


class JobsPage(msgspec.Struct, frozen=True):
    """One page of jobs in their order of arrival, and the counts.

    ``next_cursor`` asks for the page after it; a page may be short, even empty, and not the last.
    """

    jobs: tuple[JobInfo, ...]
    next_cursor: str | None
    stats: Stats


class EndedPage(msgspec.Struct, frozen=True):
    """One page of jobs that have ended, the last to end first.

    ``next_cursor`` as in `JobsPage`. ``damaged`` names objects of the archive of which not
    everything could be read.
    """

    jobs: tuple[JobInfo, ...]
    next_cursor: str | None
    damaged: tuple[str, ...] = ()


def job_from_claim(claimed: messages.ClaimedJob, worker_id: str) -> Job:
    """A claimed job as a worker holds it."""
    return Job(
        job_id=claimed.job_id,
        type=_or(claimed.type, ""),
        raw_payload=_raw(claimed.payload) or b"null",
        worker_id=worker_id,
        lease=claimed.lease,
        attempt=claimed.attempt,
        max_attempts=claimed.max_attempts,
        created_at=claimed.created_at,
        priority=claimed.priority,
        traceparent=_or(claimed.traceparent, None),
        timeout_ms=_or(claimed.timeout_ms, None),
        keep_result=_or(claimed.keep_result, False),
    )


def job_info(info: messages.JobInfo) -> JobInfo:
    """A job as it travels, as it is shown."""
    return JobInfo(
        job_id=info.id,
        status=info.status,
        type=_or(info.type, ""),
        raw_payload=None if info.payload_hidden else _raw(info.payload),
        worker_id=_or(info.worker_id, None),
        created_at=_or(info.created_at, None),
        attempts=_or(info.attempts, 0),
        max_attempts=_or(info.max_attempts, 0),
        heartbeat=_or(info.heartbeat, 0) or None,
        priority=info.priority,
        run_at=info.run_at,
        last_error=info.last_error,
        ended_at=info.ended_at,
        payload_bytes=info.payload_bytes,
        retry=info.retry,
        timeout_ms=info.timeout_ms,
        keep_result=info.keep_result,
        raw_result=_raw(info.result),
        progress=info.progress,
        errors=tuple(info.errors),
        payload_hidden=info.payload_hidden,
        after=tuple(info.after),
        waits_for=tuple(info.waits_for),
    )


def jobs_page(page: messages.JobsPage) -> JobsPage:
    """A page as it travels, as it is shown."""
    counts = {name: getattr(page, name) for name in Stats.__struct_fields__}
    return JobsPage(tuple(map(job_info, page.jobs)), page.next_cursor, Stats(**counts))


def ended_page(page: messages.EndedPage) -> EndedPage:
    """The same of jobs that have ended."""
    return EndedPage(tuple(map(job_info, page.jobs)), page.next_cursor, tuple(page.damaged))


def _or(value: _T | UnsetType, default: _D) -> _T | _D:
    return default if isinstance(value, UnsetType) else value


def _raw(payload: Raw | UnsetType) -> bytes | None:
    """Copied, so that one payload does not keep the whole answer in memory."""
    return None if isinstance(payload, UnsetType) else bytes(payload)
