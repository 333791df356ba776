"""A queue with something of everything: what waits, is delayed, runs, failed, is dead and is done.

It is made by plain calls of a client, so that what a page shows of it can be foretold.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

import osqueue
from osqueue.client import OsqueueClient
from osqueue.client.models import Job, JobError, NewJob, Progress, RetryPolicy, WorkerInfo

__all__ = ["BAD_ADDRESS", "NO_FONT", "TIMEOUT", "Scene", "about", "bury", "furnish", "schedule"]

STEP_MS = 5_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
WORKERS = ("mail-1", "mail-2", "media-1")

TYPES = ("email:send", "image:resize", "invoice:issue", "report:build", "video:transcode")
"""What each worker says that it takes."""

TIMEOUT = JobError(
    type="TimeoutError",
    message="smtp.example.org:587 did not answer within 30 s",
    traceback='Traceback (most recent call last):\n  File "mail.py", line 41, in send\n'
    "TimeoutError: smtp.example.org:587 did not answer within 30 s\n",
)
NO_SPACE = JobError(
    type="OSError",
    message="[Errno 28] No space left on device: '/scratch/talk-2.av1'",
    traceback="""Traceback (most recent call last):
  File "/srv/media/worker.py", line 88, in transcode
    await encode(source, target, codec=payload.to)
  File "/srv/media/encoder.py", line 31, in encode
    target.write(frame)
OSError: [Errno 28] No space left on device: '/scratch/talk-2.av1'
""",
)
KILLED = JobError(
    type="WorkerLost",
    message="the process ended by signal 9: it may have been out of memory",
)
BAD_ADDRESS = JobError(type="ValueError", message="'user 4711' is not an address")
NO_FONT = JobError(type="RenderError", message="font 'Inter' is not installed")


Pause = Callable[[int], Awaitable[None]]
"""Lets so many ms pass."""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """The ids, by what has become of them."""

    waiting: Sequence[str]
    delayed: Sequence[str]
    running: Sequence[str]
    """Held by workers; the third of them has failed twice before."""
    joining: str
    """Runs amid a workflow, after two that are completed; the last of ``running``."""
    retrying: str
    dead: Sequence[str]
    worn_out: str
    """Dead after three attempts; the last of ``dead``."""
    completed: str
    cancelled: str


async def _at_once(_: int) -> None:
    """No time has to pass in a test."""


async def furnish(client: OsqueueClient, pause: Pause = _at_once) -> Scene:
    """Fill an empty queue. No lease of it may run out while it is looked at."""
    dead = [*await bury(client, BAD_ADDRESS, 3), *await bury(client, NO_FONT, 2)]
    await pause(7 * MINUTE_MS)
    completed, cancelled = await _complete(client), await _cancel(client)
    worn_out = await _wear_out(client, pause)
    await pause(2 * MINUTE_MS)
    running = await _run(client, pause)
    retrying = await _fail(client)
    waiting = []
    for n in range(40):
        waiting.append(await client.submit_job("email:send", _email(n)))
        await pause(STEP_MS * (n % 5 == 0))
    waiting += await client.submit_jobs(
        [NewJob("report:build", {"month": f"2026-{n + 1:02}"}, priority=n % 3) for n in range(12)]
    )
    delayed = await client.submit_jobs(
        [NewJob("invoice:issue", {"customer": n}, delay_ms=n * HOUR_MS) for n in range(1, 6)]
    )
    await schedule(client)
    joined = await _join(client)
    await pause(STEP_MS)
    return Scene(
        waiting=waiting,
        delayed=delayed,
        running=[*(job.job_id for job in running), *joined],
        joining=joined[-1],
        retrying=retrying,
        dead=[*dead, worn_out],
        worn_out=worn_out,
        completed=completed,
        cancelled=cancelled,
    )


async def schedule(client: OsqueueClient) -> None:
    """Schedules of which none comes while a test looks."""
    report = NewJob("report:build", {"of": "yesterday"}, max_attempts=5, keep_result=True)
    await client.put_schedule("nightly", report, cron="0 3 * * *", timezone="Europe/Rome")
    await client.put_schedule("invoices", "invoice:issue", cron="30 6 1 * *", missed="skip")
    await client.put_schedule("clean-up", "files:clean", {"days": 30}, every_ms=6 * HOUR_MS)
    await client.put_schedule("newsletter", "email:send", cron="0 9 * * MON", paused=True)


async def _join(client: OsqueueClient) -> Sequence[str]:
    """A workflow of which two jobs are done, two run and three wait; answers those that run."""
    orders = NewJob("orders:extract", job_id="orders-05-12")
    customers = NewJob("customers:extract", job_id="customers-05-12")
    rates = NewJob("rates:fetch", {"currencies": ["EUR", "USD", "GBP"]})
    tables = {"left": "orders", "right": "customers", "on": "customer_id"}
    join = NewJob("orders:join", tables, after=[orders, customers])
    revenue = NewJob("revenue:compute", after=[join, rates])
    churn = NewJob("churn:compute", after=[join])
    report = NewJob("report:render", after=[revenue, churn])
    await client.submit_jobs([orders, customers, rates, join, revenue, churn, report])
    for kind in ("orders:extract", "customers:extract"):
        await client.complete_job(await _claimed(client, WORKERS[0], kind))
    held = []
    for kind, done in (("rates:fetch", 40.0), ("orders:join", 62.0)):
        job = await _claimed(client, WORKERS[1], kind)
        await _tell(client, WORKERS[1], job, Progress(done=done, total=100.0))
        held.append(job.job_id)
    return held


def _email(n: int) -> Mapping[str, Any]:
    return {"to": f"user-{n}@example.org", "template": "welcome", "attachments": n % 3}


async def _wear_out(client: OsqueueClient, pause: Pause) -> str:
    """A job that has failed as often as it may."""
    payload = {**_email(4711), "vars": {"name": "Ada", "plan": "team", "seats": 12}}
    job_id = await client.submit_job("email:send", payload, max_attempts=3, timeout_ms=30_000)
    for n in range(3):
        job = await _claimed(client, WORKERS[n % 2], "email:send")
        await pause(30_000)
        await client.fail_job(job, TIMEOUT, delay_ms=0)
        await pause(STEP_MS)
    return job_id


async def _complete(client: OsqueueClient) -> str:
    await client.submit_job("report:build", {"month": "2025-12"}, keep_result=True)
    job = await _claimed(client, WORKERS[2], "report:build")
    await client.complete_job(job, {"pages": 12, "url": "reports/2025-12.pdf"})
    return job.job_id


async def _cancel(client: OsqueueClient) -> str:
    job_id = await client.submit_job("email:send", {"to": "nobody@example.org"})
    await client.cancel_job(job_id)
    return job_id


async def bury(client: OsqueueClient, error: JobError, number: int) -> Sequence[str]:
    """Dead letters of one error, each after one attempt."""
    kind = "email:send" if error is BAD_ADDRESS else "report:build"
    buried = []
    for n in range(number):
        await client.submit_job(kind, {"n": n})
        job = await _claimed(client, WORKERS[n % 2], kind)
        await client.fail_job(job, error, retry=False)
        buried.append(job.job_id)
    return buried


async def _fail(client: OsqueueClient) -> str:
    """A job that has failed once and waits to be tried again."""
    policy = RetryPolicy(base_ms=HOUR_MS, max_ms=24 * HOUR_MS)
    await client.submit_job("email:send", {"to": "late@example.org"}, retry=policy)
    job = await _claimed(client, WORKERS[0], "email:send")
    await client.fail_job(job, TIMEOUT)
    return job.job_id


async def _run(client: OsqueueClient, pause: Pause) -> Sequence[Job]:
    """Three jobs that workers hold, with how far they are."""
    held = []
    for n, worker in enumerate(WORKERS):
        policy = RetryPolicy(base_ms=0)
        payload = {"file": f"talk-{n}.mkv", "to": "av1", "size": [1920, 1080], "crf": 28}
        await client.submit_job("video:transcode", payload, retry=policy, timeout_ms=HOUR_MS)
        for error in (KILLED, NO_SPACE) if worker == WORKERS[-1] else ():
            failing = await _claimed(client, WORKERS[0], "video:transcode")
            await pause(4 * STEP_MS)
            await client.fail_job(failing, error)
        job = await _claimed(client, worker, "video:transcode")
        progress = Progress(done=25.0 * (n + 1), total=100.0, note=f"pass {n + 1}")
        await _tell(client, worker, job, progress)
        held.append(job)
        await pause(STEP_MS)
    return held


async def _tell(client: OsqueueClient, worker: str, job: Job, progress: Progress) -> None:
    errors: Any = await client.heartbeat_jobs(worker, [job], progress={job.lease: progress})
    assert errors == [None], errors


async def _claimed(client: OsqueueClient, worker: str, kind: str) -> Job:
    jobs = await client.claim_jobs(worker, [kind], max_jobs=1, worker=about(worker))
    assert jobs, "it was submitted just now"
    return jobs[0]


def about(worker: str) -> WorkerInfo:
    """What a worker says of itself."""
    number = WORKERS.index(worker) + 1 if worker in WORKERS else 9
    return WorkerInfo(
        concurrency=4 * number,
        host=f"{worker}.internal",
        pid=4_000 + 100 * number,
        version=osqueue.__version__,
        types=list(TYPES),
    )
