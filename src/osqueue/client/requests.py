"""From what a caller says to what travels. Pure: ids and the time are arguments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from msgspec import UnsetType

from osqueue.client.models import Job, NewJob
from osqueue.client.payloads import encode_payload
from osqueue.config import BATCH_JOBS_MAX
from osqueue.errors import BrokerProtocolError
from osqueue.wire.messages import JobRef, SubmitRequest

__all__ = ["by_size", "chunks", "is_large", "job_refs", "only_worker", "submit_request"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ENVELOPE_BYTES: Final = 256
"""An id, the names of the fields and their numbers, at most."""

_T = TypeVar("_T")


def submit_request(job: NewJob, *, fresh_id: str, now_ms: int) -> SubmitRequest:
    """The request of a job. It always has an id, so that it can be sent again."""
    return SubmitRequest(
        payload=encode_payload(job.payload),
        type=job.type or None,
        max_attempts=job.max_attempts,
        job_id=job.job_id or fresh_id,
        priority=job.priority,
        run_at=_run_at(job, now_ms),
        traceparent=job.traceparent,
    )


def by_size(requests: Iterable[SubmitRequest], bytes_max: int) -> Iterator[list[SubmitRequest]]:
    """Batches of at most 1,000 jobs and about ``bytes_max``; a larger job goes alone."""
    batch: list[SubmitRequest] = []
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


def job_refs(jobs: Iterable[Job]) -> list[JobRef]:
    """Jobs by id and lease."""
    return [JobRef(job_id=job.job_id, lease=job.lease) for job in jobs]


def only_worker(jobs: Iterable[Job]) -> str:
    """The worker that holds all of these jobs: a batch speaks for one."""
    workers = {job.worker_id for job in jobs}
    if len(workers) != 1:
        raise BrokerProtocolError(f"the jobs of a batch must be one worker's, not {len(workers)}")
    return workers.pop()


def _weight(request: SubmitRequest) -> int:
    """About as many bytes as it takes in a body."""
    payload = 0 if isinstance(request.payload, UnsetType) else len(memoryview(request.payload))
    return payload + len((request.type or "").encode(errors="replace")) + _ENVELOPE_BYTES


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
