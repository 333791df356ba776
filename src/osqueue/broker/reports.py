"""What workers bring with the end of a job, and on the way there: results and progress, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, Raw, UnsetType

from osqueue.broker.reply import Reply
from osqueue.config import RESULT_BYTES_MAX
from osqueue.errors import OsqueueError, PayloadValidationError
from osqueue.model.payload import payload_fault
from osqueue.wire.errors import error_body
from osqueue.wire.messages import BatchAnswer, CompleteRef, HeartbeatRef, JobAnswer

__all__ = ["progress_of", "result_error", "result_errors", "results_of", "with_errors"]

_encode = msgspec.json.Encoder().encode


def result_error(result: Raw | UnsetType) -> OsqueueError | None:
    """Why a result cannot be kept; ``None`` when it can."""
    if isinstance(result, UnsetType):
        return None
    size = len(memoryview(result))
    if size > RESULT_BYTES_MAX:
        return PayloadValidationError(
            f"the result has {size} bytes, and at most {RESULT_BYTES_MAX} are kept: store it "
            "elsewhere, and let the result name it"
        )
    fault = payload_fault(result)
    return None if fault is None else PayloadValidationError(f"`result` cannot be kept: {fault}")


def result_errors(jobs: Sequence[CompleteRef]) -> dict[str, OsqueueError]:
    """The same of the jobs of a batch, by job."""
    found = ((job.job_id, result_error(job.result)) for job in jobs if job.result is not UNSET)
    return {job_id: error for job_id, error in found if error is not None}


def results_of(jobs: Sequence[CompleteRef]) -> tuple[Raw | UnsetType, ...]:
    """The results of jobs; nothing where none has one."""
    results = tuple([job.result for job in jobs])
    return () if all(result is UNSET for result in results) else results


def progress_of(jobs: Sequence[HeartbeatRef]) -> tuple[Raw | None, ...]:
    """How far jobs are, as JSON text; nothing where nothing is said of any."""
    if all(job.progress is None for job in jobs):
        return ()
    return tuple([None if job.progress is None else Raw(_encode(job.progress)) for job in jobs])


def with_errors(
    reply: Reply[BatchAnswer], jobs: Sequence[CompleteRef], errors: Mapping[str, OsqueueError]
) -> Reply[BatchAnswer]:
    """The answers to all jobs, where some were not asked about, in the order of the request."""
    asked = iter(reply.value.results)
    results = [
        JobAnswer(job_id=job.job_id, error=error_body(errors[job.job_id]))
        if job.job_id in errors
        else next(asked)
        for job in jobs
    ]
    return reply._replace(value=BatchAnswer(results))
