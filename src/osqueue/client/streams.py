"""Jobs and changes as they come: what a client makes of the broker's streams.

A stream is not begun again by itself: what happened in between would be missing without a word. It
ends by the error that says why, and whoever reads it begins anew.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from osqueue.client.caller import Caller
from osqueue.client.models import Job, job_from_claim
from osqueue.errors import OsqueueError
from osqueue.wire.messages import ClaimAnswer, CreditRequest, ReleaseRequest, StreamRequest
from osqueue.wire.operations import ADD_CREDIT, RELEASE, STREAM_JOBS

__all__ = ["job_stream"]

_log = logging.getLogger(__name__)


async def job_stream(caller: Caller, request: StreamRequest) -> AsyncGenerator[Job, None]:
    """Jobs one by one. Credit for one that was taken is added when the next is asked for.

    It is added for many at once, half of all, while others are still here. Jobs that are here at
    the end are released.
    """
    here: list[Job] = []
    taken = 0
    try:
        async with aclosing(caller.stream(STREAM_JOBS, request)) as answers:
            async for answer in answers:
                here = _jobs(answer, request)
                while here:
                    yield here.pop()
                    taken += 1
                    if not here or taken * 2 > request.credit:
                        credit = CreditRequest(stream_id=request.stream_id, credit=taken)
                        await caller.call(ADD_CREDIT, credit)
                        taken = 0
    finally:
        for job in reversed(here):
            await _give_back(caller, job)


def _jobs(answer: ClaimAnswer, request: StreamRequest) -> list[Job]:
    """The jobs of an answer, the first one last."""
    return [job_from_claim(job, request.worker_id) for job in reversed(answer.jobs)]


async def _give_back(caller: Caller, job: Job) -> None:
    request = ReleaseRequest(worker_id=job.worker_id, lease=job.lease)
    try:
        await caller.call(RELEASE, request, job_id=job.job_id)
    except OsqueueError as error:
        _log.info("job %s is not released: %s", job.job_id, error)
