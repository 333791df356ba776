"""A queue with something of everything: what waits, is delayed, runs, failed, is dead and is done.

It is made by plain calls of a client, so that what a page shows of it can be foretold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from osqueue.client import OsqueueClient
from osqueue.client.models import Job, JobError, NewJob, Progress, RetryPolicy

__all__ = ["Scene", "furnish"]

HOUR_MS = 3_600_000
WORKERS = ("mail-1", "mail-2", "media-1")

TIMEOUT = JobError(
    type="TimeoutError",
    message="smtp.example.org:587 did not answer within 30 s",
    traceback='Traceback (most recent call last):\n  File "mail.py", line 41, in send\n'
    "TimeoutError: smtp.example.org:587 did not answer within 30 s\n",
)
BAD_ADDRESS = JobError(type="ValueError", message="'user 4711' is not an address")
NO_FONT = JobError(type="RenderError", message="font 'Inter' is not installed")


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """The ids, by what has become of them."""

    waiting: Sequence[str]
    delayed: Sequence[str]
    running: Sequence[str]
    retrying: str
    dead: Sequence[str]
    completed: str
    cancelled: str


async def furnish(client: OsqueueClient) -> Scene:
    """Fill an empty queue. No lease of it may run out while it is looked at."""
    completed, cancelled = await _complete(client), await _cancel(client)
    dead = [*await _bury(client, BAD_ADDRESS, 3), *await _bury(client, NO_FONT, 2)]
    retrying = await _fail(client)
    running = await _run(client)
    waiting = await client.submit_jobs(
        [
            NewJob("email:send", {"to": f"user-{n}@example.org", "template": "welcome"})
            for n in range(40)
        ]
        + [NewJob("report:build", {"month": f"2026-{n + 1:02}"}, priority=n % 3) for n in range(12)]
    )
    delayed = await client.submit_jobs(
        [NewJob("invoice:issue", {"customer": n}, delay_ms=n * HOUR_MS) for n in range(1, 6)]
    )
    return Scene(
        waiting=waiting,
        delayed=delayed,
        running=[job.job_id for job in running],
        retrying=retrying,
        dead=dead,
        completed=completed,
        cancelled=cancelled,
    )


async def _complete(client: OsqueueClient) -> str:
    await client.submit_job("report:build", {"month": "2025-12"}, keep_result=True)
    job = await _claimed(client, WORKERS[2])
    await client.complete_job(job, {"pages": 12, "url": "reports/2025-12.pdf"})
    return job.job_id


async def _cancel(client: OsqueueClient) -> str:
    job_id = await client.submit_job("email:send", {"to": "nobody@example.org"})
    await client.cancel_job(job_id)
    return job_id


async def _bury(client: OsqueueClient, error: JobError, number: int) -> Sequence[str]:
    """Dead letters of one error, each after one attempt."""
    kind = "email:send" if error is BAD_ADDRESS else "report:build"
    buried = []
    for n in range(number):
        await client.submit_job(kind, {"n": n})
        job = await _claimed(client, WORKERS[n % 2])
        await client.fail_job(job, error, retry=False)
        buried.append(job.job_id)
    return buried


async def _fail(client: OsqueueClient) -> str:
    """A job that has failed once and waits to be tried again."""
    policy = RetryPolicy(base_ms=HOUR_MS, max_ms=24 * HOUR_MS)
    await client.submit_job("email:send", {"to": "late@example.org"}, retry=policy)
    job = await _claimed(client, WORKERS[0])
    await client.fail_job(job, TIMEOUT)
    return job.job_id


async def _run(client: OsqueueClient) -> Sequence[Job]:
    """Three jobs that workers hold, with how far they are."""
    held = []
    for n, worker in enumerate(WORKERS):
        await client.submit_job("video:transcode", {"file": f"talk-{n}.mkv", "to": "av1"})
        job = await _claimed(client, worker)
        progress = Progress(done=25.0 * (n + 1), total=100.0, note=f"pass {n + 1}")
        errors: Any = await client.heartbeat_jobs(worker, [job], progress={job.lease: progress})
        assert errors == [None], errors
        held.append(job)
    return held


async def _claimed(client: OsqueueClient, worker: str) -> Job:
    job = await client.claim_job(worker)
    assert job is not None, "it was submitted just now"
    return job
