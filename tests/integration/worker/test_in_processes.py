"""Handlers in processes, as a worker runs them: all the ways in which their jobs end."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import msgspec
from tests.integration.worker.conftest import BRISK, ended
from tests.unit.worker.processes import handlers as program

from osqueue.client import JobInfo, OsqueueClient
from osqueue.jobs import HandlerSpec
from osqueue.worker import CallNext, JobContext, Worker


def _in_process(function: Any, **options: Any) -> HandlerSpec:
    return HandlerSpec(function=function, executor="process", **options)


async def _run(client: OsqueueClient, handler: Any, payload: Any, **options: Any) -> JobInfo:
    job_id = await client.submit_job("t", payload, **{"max_attempts": 1, **options})
    fine = await client.submit_job("fine", "x", keep_result=True)
    handlers = {"t": handler, "fine": _in_process(program.echo)}
    async with Worker(client, handlers, settings=BRISK):
        info = await ended(client, job_id)
        assert (await ended(client, fine)).result == "x"
    return info


async def test_job_in_a_process_when_it_returns_then_is_completed_with_its_result(
    client: OsqueueClient,
) -> None:
    told: list[Any] = []

    async def middleware(_ctx: JobContext, call_next: CallNext) -> Any:
        told.append(await call_next())
        return told[-1]

    job_id = await client.submit_job("email:send", {"to": "ada"}, keep_result=True)
    async with Worker(client, program.jobs, settings=BRISK, middlewares=[middleware]):
        info = await ended(client, job_id)

    assert (info.status, info.result) == ("completed", {"to": "ada", "copies": 1})
    assert told == [program.Email("ada")]


async def test_job_in_a_process_when_its_payload_does_not_fit_then_is_dead_at_once(
    client: OsqueueClient,
) -> None:
    job_id = await client.submit_job("email:send", {"copies": 1})
    async with Worker(client, program.jobs, settings=BRISK):
        info = await ended(client, job_id)

    assert (info.status, info.attempts) == ("dead", 1)
    assert info.last_error is not None
    assert "to" in info.last_error.message


async def test_job_in_a_process_that_is_killed_then_has_failed_with_the_reason(
    client: OsqueueClient,
) -> None:
    info = await _run(client, _in_process(program.kill_itself), int(signal.SIGKILL))

    assert info.status == "dead"
    assert info.last_error is not None
    assert "SIGKILL" in info.last_error.message


async def test_job_in_a_process_that_raises_then_has_failed_with_the_remote_traceback(
    client: OsqueueClient,
) -> None:
    info = await _run(client, _in_process(program.fail), "so", max_attempts=2)

    assert (info.status, info.attempts) == ("dead", 2)
    assert info.last_error is not None
    assert (info.last_error.type, info.last_error.message) == ("ValueError", "not so")
    assert "in fail" in (info.last_error.traceback or "")


async def test_job_in_a_process_that_discards_then_is_dead_at_once(client: OsqueueClient) -> None:
    info = await _run(client, _in_process(program.discard), None, max_attempts=3)

    assert (info.status, info.attempts) == ("dead", 1)


async def test_job_in_a_process_that_hangs_then_fails_when_its_time_is_up(
    client: OsqueueClient, tmp_path: Path
) -> None:
    hang = _in_process(program.hang, timeout_s=1.0)
    patient = msgspec.structs.replace(BRISK, settle_ms=5_000)
    job_id = await client.submit_job("t", str(tmp_path / "told"), max_attempts=1)
    async with Worker(client, {"t": hang}, settings=patient) as worker:
        info = await ended(client, job_id)
        while worker.running:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)

    assert info.status == "dead"
    assert info.last_error is not None
    assert info.last_error.type == "TimeoutError"


async def test_worker_that_stops_at_once_then_gives_the_job_of_a_process_back(
    client: OsqueueClient, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    job_id = await client.submit_job("t", str(told))
    worker = Worker(client, {"t": _in_process(program.wait_until_told)}, settings=BRISK)
    await worker.start()
    while not told.exists():  # noqa: ASYNC110 - another process says so
        await asyncio.sleep(0.01)

    await worker.stop_at_once()

    info = await client.get_job(job_id)
    assert (info.status, info.attempts) == ("unclaimed", 0)
