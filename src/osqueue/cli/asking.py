"""Asking a broker something, once."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from osqueue.cli.connecting import connect
from osqueue.cli.failures import USAGE, CliError
from osqueue.cli.options import Broker
from osqueue.cli.output import say, say_json
from osqueue.client import NewJob, OsqueueClient
from osqueue.clock import SystemEntropy
from osqueue.config import ClientSettings
from osqueue.errors import OsqueueError, TransportConnectionError

__all__ = ["ask", "parse_payload", "submit", "submit_and_wait"]

_T = TypeVar("_T")

PATIENCE_MS: Final = 2_000
"""Somebody waits at the terminal: a broker that restarts is waited for, one that is not there is
soon said to be so."""

WAITING_PATIENCE_MS: Final = 30_000
"""Whoever waits for a job to end sits out a failover, too."""


def ask(
    broker: Broker,
    question: Callable[[OsqueueClient], Awaitable[_T]],
    *,
    create: bool = False,
) -> _T:
    """What ``question`` brings back from the broker. ``create``: see `connect`."""
    return asyncio.run(_ask(broker, question, create=create))


def submit(broker: Broker, job: NewJob, *, json_output: bool) -> None:
    """Submit a job and print its id; when it is not known whether it is stored, that is said."""
    job_id = ask(broker, partial(_submit, job=job), create=True)
    if json_output:
        say_json({"jobId": job_id})
    else:
        say(job_id)


def submit_and_wait(broker: Broker, job: NewJob, *, json_output: bool) -> None:
    """Submit a job, and print its result when it is done. Raises `JobFailedError`."""
    job_id, result = ask(broker, partial(_submit_and_wait, job=job), create=True)
    say_json({"jobId": job_id, "result": result} if json_output else result)


def parse_payload(text: str) -> msgspec.Raw:
    """A payload as it was written, checked to be JSON; ``-`` stands for what is on stdin."""
    encoded = sys.stdin.buffer.read() if text == "-" else text.encode(errors="surrogateescape")
    try:
        json.loads(encoded)
    except (ValueError, RecursionError) as error:
        message = f'the payload is not JSON: {error}; quote it, such as \'{{"to": "ada"}}\''
        raise CliError(message, code=USAGE) from error
    return msgspec.Raw(encoded.strip())


async def _submit(client: OsqueueClient, *, job: NewJob) -> str:
    job = replace(job, job_id=job.job_id or SystemEntropy().job_id())
    try:
        (job_id,) = await client.submit_jobs([job])
    except OsqueueError as error:
        doubtful = error.applied == "unknown" or isinstance(error, TransportConnectionError)
        if doubtful and error.applied != "no":
            again = f"submit it again with --id {job.job_id}, which never adds a second one"
            raise CliError(f"{error.message}; the job may be stored or not: {again}") from error
        raise
    return job_id


async def _submit_and_wait(client: OsqueueClient, *, job: NewJob) -> tuple[str, Any]:
    job_id = await _submit(client, job=job)
    patient = client.with_settings(replace(client.settings, retry_for_ms=WAITING_PATIENCE_MS))
    try:
        return job_id, await patient.result(job_id)
    except TransportConnectionError as error:
        look = f"the job is stored: osqueue jobs show {job_id}"
        raise CliError(f"{error.message}; {look}") from error


async def _ask(
    broker: Broker, question: Callable[[OsqueueClient], Awaitable[_T]], *, create: bool
) -> _T:
    settings = ClientSettings(retry_for_ms=PATIENCE_MS)
    async with connect(broker, settings, create=create) as client:
        return await question(client)
