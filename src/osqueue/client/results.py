"""From a batch's answers to one error or ``None`` per job. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from osqueue.client.models import Job
from osqueue.errors import OsqueueError, TransportRequestError
from osqueue.wire.errors import HTTP_STATUS, error_from_body
from osqueue.wire.messages import BatchAnswer, ErrorBody
from osqueue.wire.operations import Operation

__all__ = ["batch_results"]


def batch_results(
    operation: Operation, jobs: Sequence[Job], answer: BatchAnswer
) -> list[OsqueueError | None]:
    """What became of each job. Raises `TransportRequestError` when the answers don't match."""
    answered = [result.job_id for result in answer.results]
    if answered != [job.job_id for job in jobs]:
        raise TransportRequestError(
            f"{operation.name}: {len(answered)} answers that do not match the {len(jobs)} jobs sent"
        )
    return [_error(operation, result.error) for result in answer.results]


def _error(operation: Operation, body: ErrorBody | None) -> OsqueueError | None:
    if body is None:
        return None
    status = HTTP_STATUS.get(body.tag, 500)
    return error_from_body(body, status=status, method=operation.name)
