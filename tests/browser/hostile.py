"""Jobs of somebody who would like to run a script in the browser of whoever looks at them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from osqueue.client import OsqueueClient
from osqueue.client.models import JobError, Progress

__all__ = ["Hostile", "attack", "evil"]

MARKUP: Final = (
    "\"'><img src=x onerror=alert(1)><script>alert(2)</script>"
    "<a href=javascript:alert(3)>x</a><svg onload=alert(4)>"
)
NAMES: Final = ("__proto__", "constructor", "toString", "${alert(5)}", "{{7*7}}", "\u202egpj.exe")
"""Types that are no markup, and break whoever looks them up in an object or fills in templates."""


class Hostile(msgspec.Struct, frozen=True):
    """The ids of jobs that carry it, by what has become of them."""

    waiting: str
    running: str
    retrying: str
    dead: str
    completed: str


def evil(field: str) -> str:
    """What is put into a field, and must be read there as text."""
    return f"{field}:{MARKUP}"


async def attack(client: OsqueueClient) -> Hostile:
    """Put it into every field that a job can carry."""
    for name in NAMES:
        await client.submit_job(name, {name: name}, priority=-5)
    worker = evil("worker")
    completed = await _submit(client, "completed", keep_result=True)
    job = await client.claim_job(worker, [evil("type")])
    assert job is not None
    await client.complete_job(job, {evil("result key"): evil("result")})
    dead = await _submit(client, "dead")
    await _fail(client, worker, retry=False)
    retrying = await _submit(client, "retrying")
    await _fail(client, worker, retry=True)
    running = await _submit(client, "running")
    job = await client.claim_job(worker, [evil("type")])
    assert job is not None
    progress = Progress(done=1, total=3, note=evil("note")[:200])
    assert await client.heartbeat_jobs(worker, [job], progress={job.lease: progress}) == [None]
    return Hostile(await _submit(client, "waiting"), running, retrying, dead, completed)


async def _submit(client: OsqueueClient, name: str, **options: bool) -> str:
    payload: Mapping[str, object] = {
        evil("key"): [evil("payload"), {"__proto__": {"polluted": True}, "html": evil("deep")}],
    }
    return await client.submit_job(
        evil("type"), payload, job_id=f"javascript.alert~{name}", keep_result=bool(options)
    )


async def _fail(client: OsqueueClient, worker: str, *, retry: bool) -> None:
    job = await client.claim_job(worker, [evil("type")])
    assert job is not None
    error = JobError(type=evil("error")[:256], message=evil("message"), traceback=evil("traceback"))
    await client.fail_job(job, error, retry=retry, delay_ms=3_600_000 if retry else None)
