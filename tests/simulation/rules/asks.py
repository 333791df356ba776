"""The requests of the scripts, each in a word."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import Raw
from tests.simulation.rules.stage import Caught, Stage

from osqueue.wire import messages
from osqueue.wire import operations as ops
from osqueue.wire.messages import ClaimedJob, JobInfo

__all__ = [
    "claim",
    "claimed",
    "complete",
    "dead",
    "fail",
    "get",
    "keep",
    "release",
    "submit",
    "submit_caught",
    "submitted",
]

ERROR = messages.JobError(type="Broken", message="it did not work")


async def submit(stage: Stage, job_id: str, *, at: str = "broker-1", **said: Any) -> Any:
    """``said``: more of what a request may say."""
    said = {"type": "mail", "payload": Raw(b"1"), **said}
    request = messages.SubmitRequest(job_id=job_id, **said)
    return await stage.ask(ops.SUBMIT, request, at=at)


async def submit_caught(stage: Stage, job_id: str) -> tuple[asyncio.Task[Any], Caught]:
    """The submit of a job, which is under way, and the write that it waits for."""
    caught = stage.catch("broker-1", naming=f'"{job_id}"')
    asked = stage.begin(submit(stage, job_id))
    return asked, await caught


async def claim(stage: Stage, worker: str = "w1", *, at: str = "broker-1", **said: Any) -> Any:
    """The jobs that a worker gets."""
    said = {"claim_id": f"claim {stage.loop.number()}", **said}
    request = messages.ClaimRequest(worker_id=worker, **said)
    answer: messages.ClaimAnswer = await stage.ask(ops.CLAIM, request, at=at)
    return answer.jobs


async def submitted(stage: Stage, *job_ids: str, **said: Any) -> None:
    for job_id in job_ids:
        await submit(stage, job_id, **said)


async def claimed(
    stage: Stage, job_id: str, worker: str = "w1", *, at: str = "broker-1", **said: Any
) -> ClaimedJob:
    """The lease of a job that is submitted and claimed."""
    await submit(stage, job_id, at=at, **said)
    (job,) = await claim(stage, worker, at=at)
    granted: ClaimedJob = job
    return granted


async def dead(stage: Stage, job_id: str, **said: Any) -> None:
    """A job that has failed for good."""
    job = await claimed(stage, job_id, **said)
    await fail(stage, job, retry=False)


async def complete(
    stage: Stage, job: ClaimedJob, worker: str = "w1", *, at: str = "broker-1", **said: Any
) -> None:
    request = messages.CompleteRequest(worker_id=worker, **{"lease": job.lease, **said})
    await stage.ask(ops.COMPLETE, request, job_id=job.job_id, at=at)


async def fail(stage: Stage, job: ClaimedJob, worker: str = "w1", **said: Any) -> None:
    request = messages.FailRequest(worker_id=worker, lease=job.lease, error=ERROR, **said)
    await stage.ask(ops.FAIL, request, job_id=job.job_id)


async def release(stage: Stage, job: ClaimedJob, worker: str = "w1") -> None:
    request = messages.ReleaseRequest(worker_id=worker, lease=job.lease)
    await stage.ask(ops.RELEASE, request, job_id=job.job_id)


async def keep(
    stage: Stage, *jobs: ClaimedJob, worker: str = "w1", at: str = "broker-1", whole: bool = False
) -> list[str | None]:
    """A heartbeat; what each lease is refused with, if it is. ``whole``: it lists all."""
    refs = [messages.HeartbeatRef(job_id=job.job_id, lease=job.lease) for job in jobs]
    request = messages.HeartbeatBatchRequest(worker_id=worker, jobs=refs, all=whole)
    answer: messages.BatchAnswer = await stage.ask(ops.HEARTBEAT_BATCH, request, at=at)
    return [None if each.error is None else each.error.tag for each in answer.results]


async def get(
    stage: Stage, job_id: str, *, at: str = "broker-1", consistent: bool = False
) -> JobInfo:
    query = ops.JobQuery(consistent=consistent)
    info: JobInfo = await stage.ask(ops.GET_JOB, query, job_id=job_id, at=at)
    return info
