"""From what a caller says to what travels. Pure: ids and the time are arguments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from osqueue.client.models import Job, NewJob
from osqueue.client.payloads import encode_payload, encode_result
from osqueue.config import BATCH_JOBS_MAX
from osqueue.errors import BrokerProtocolError, ConfigError
from osqueue.jobs.backoff import Backoff
from osqueue.jobs.registry import Registry
from osqueue.jobs.submission import JobOptions, NamedJob
from osqueue.wire.messages import (
    ActionRequest,
    CompleteRef,
    HeartbeatRef,
    JobFilter,
    Progress,
    SubmitRequest,
)

__all__ = [
    "action_request",
    "by_size",
    "chunks",
    "complete_refs",
    "heartbeat_refs",
    "is_large",
    "job_of",
    "jobs_of",
    "only_worker",
    "result_text",
    "submit_request",
    "submit_requests",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ENVELOPE_BYTES: Final = 256
"""An id, the names of the fields and their numbers, at most."""

_ALONE: Final[Mapping[int, str]] = MappingProxyType({})

_NO_PROGRESS: Final[Mapping[str, Progress]] = MappingProxyType({})

_T = TypeVar("_T")
_SizedT = TypeVar("_SizedT", SubmitRequest, CompleteRef)


def job_of(
    types: Registry | None,
    given: object,
    options: JobOptions | None = None,
) -> NewJob:
    """The job that a caller means, by a `NewJob` or a payload; checked where its type is known.

    Raises `PayloadValidationError`, and `ConfigError` for a payload whose type is not known.
    """
    if isinstance(given, NewJob):
        job = msgspec.structs.replace(given, **options) if options else given
    elif types is None:
        raise ConfigError(
            "this client has no registry that tells which job type a payload is of: give it one, "
            "OsqueueClient(…, registry=…), or say it: submit_job('email:send', payload)"
        )
    else:
        job = NewJob(types.type_of(given).name, given, **(options or {}))
    return job if types is None else types.checked(job)


def jobs_of(types: Registry | None, given: Iterable[object]) -> list[NewJob]:
    """The same of many, which may also be (type, payload), and may name each other."""
    jobs: list[NewJob] = []
    checked: dict[int, NewJob] = {}
    kept: list[object] = []  # while this runs: of those that are gone, an id may come again
    for each in given:
        job = job_of(types, NewJob(*each) if type(each) is tuple else each)
        if job.after and checked:
            after = [checked.get(id(parent), parent) for parent in job.after]
            job = msgspec.structs.replace(job, after=after)
        checked[id(each)] = job
        kept.append(each)
        jobs.append(job)
    return jobs


def submit_requests(
    jobs: Sequence[NewJob], *, fresh_ids: Sequence[str], now_ms: int
) -> list[SubmitRequest]:
    """The requests of many, which may name those before them."""
    ids: dict[int, str] = {}
    requests: list[SubmitRequest] = []
    for job, fresh_id in zip(jobs, fresh_ids, strict=True):
        requests.append(submit_request(job, fresh_id=fresh_id, now_ms=now_ms, batch=ids))
        ids[id(job)] = job.job_id or fresh_id
    return requests


def submit_request(
    job: NewJob, *, fresh_id: str, now_ms: int, batch: Mapping[int, str] = _ALONE
) -> SubmitRequest:
    """The request of a job. It always has an id, so that it can be sent again. ``batch``: the ids
    of the jobs before it, by identity.
    """
    return SubmitRequest(
        payload=encode_payload(job.payload),
        type=job.type or None,
        max_attempts=job.max_attempts,
        job_id=job.job_id or fresh_id,
        priority=job.priority,
        run_at=_run_at(job, now_ms),
        traceparent=job.traceparent,
        retry=job.retry.policy() if isinstance(job.retry, Backoff) else job.retry,
        timeout_ms=job.timeout_ms,
        keep_result=bool(job.keep_result),
        after=_after(job, batch) if job.after else [],
    )


def _after(job: NewJob, batch: Mapping[int, str]) -> list[str]:
    if isinstance(job.after, str):
        raise BrokerProtocolError(f"after takes a list: after=[{job.after!r}]")
    return [_name_of(each, batch) for each in job.after]


def _name_of(parent: str | NamedJob, batch: Mapping[int, str]) -> str:
    if isinstance(parent, str):
        return parent
    name = batch.get(id(parent)) or getattr(parent, "job_id", None)
    if not isinstance(name, str):
        raise BrokerProtocolError(
            f"after: {parent!r} has no id yet; submit it before, or first in the same submit_jobs"
        )
    return name


def by_size(requests: Iterable[_SizedT], bytes_max: int) -> Iterator[list[_SizedT]]:
    """Batches of at most 1,000 jobs and about ``bytes_max``; a larger job goes alone."""
    batch: list[_SizedT] = []
    size = 0
    for request in requests:
        weight = _weight(request)
        if batch and (size + weight > bytes_max or len(batch) == BATCH_JOBS_MAX):
            yield batch
            batch, size = [], 0
        batch.append(request)
        size += weight
    if batch:
        yield batch


def is_large(request: SubmitRequest, bytes_max: int) -> bool:
    """Whether a job is too large to travel with others."""
    return _weight(request) > bytes_max


def chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Runs of at most 1,000; of nothing, none."""
    for start in range(0, len(items), BATCH_JOBS_MAX):
        yield items[start : start + BATCH_JOBS_MAX]


def heartbeat_refs(
    jobs: Iterable[Job], progress: Mapping[str, Progress] = _NO_PROGRESS
) -> list[HeartbeatRef]:
    """Jobs by id and lease, each with its progress, which is told by lease."""
    return [
        HeartbeatRef(job_id=job.job_id, lease=job.lease, progress=progress.get(job.lease))
        for job in jobs
    ]


def complete_refs(jobs: Sequence[Job], results: Sequence[object] | None) -> list[CompleteRef]:
    """Jobs by id and lease, each with its result; unset is none."""
    if results is None:
        return [CompleteRef(job_id=job.job_id, lease=job.lease) for job in jobs]
    if len(results) != len(jobs):
        raise BrokerProtocolError(f"there are {len(results)} results of {len(jobs)} jobs")
    return [
        CompleteRef(job_id=job.job_id, lease=job.lease, result=result_text(result))
        for job, result in zip(jobs, results, strict=True)
    ]


def action_request(
    action: str,
    job_ids: Iterable[str] | None,
    *,
    status: str | None,
    job_type: str | None,
    text: str | None,
    max_jobs: int,
    priority: int | None,
) -> ActionRequest:
    """The request to do something to many jobs. Raises `BrokerProtocolError` when it means all."""
    wanted = JobFilter(status=status, type=job_type, text=text or None)
    ids = None if job_ids is None else list(job_ids)
    if ids is None and wanted == JobFilter():
        raise BrokerProtocolError("say which jobs: job_ids, or a status, job_type or text")
    return ActionRequest(
        action=action,
        job_ids=ids,
        filter=None if wanted == JobFilter() else wanted,
        max=max_jobs,
        priority=priority,
    )


def result_text(result: object) -> Raw | UnsetType:
    """A result as JSON text; unset is none."""
    return UNSET if result is UNSET else encode_result(result)


def only_worker(jobs: Iterable[Job]) -> str:
    """The worker that holds all of these jobs: a batch speaks for one."""
    workers = {job.worker_id for job in jobs}
    if len(workers) != 1:
        raise BrokerProtocolError(f"the jobs of a batch must be one worker's, not {len(workers)}")
    return workers.pop()


def _weight(request: SubmitRequest | CompleteRef) -> int:
    """About as many bytes as it takes in a body."""
    if isinstance(request, CompleteRef):
        return _length(request.result) + _ENVELOPE_BYTES
    type_ = (request.type or "").encode(errors="replace")
    after = sum([len(each) + 3 for each in request.after])
    return _length(request.payload) + len(type_) + after + _ENVELOPE_BYTES


def _length(text: Raw | UnsetType) -> int:
    return 0 if isinstance(text, UnsetType) else len(memoryview(text))


def _run_at(job: NewJob, now_ms: int) -> int | None:
    if job.delay_ms is not None and job.run_at is not None:
        raise BrokerProtocolError("run_at and delay_ms exclude each other")
    if job.delay_ms is not None:
        return now_ms + job.delay_ms
    if isinstance(job.run_at, datetime):
        if job.run_at.tzinfo is None:
            raise BrokerProtocolError("run_at needs a time zone: datetime.now(UTC), for example")
        return (job.run_at - _EPOCH) // timedelta(milliseconds=1)
    return job.run_at
