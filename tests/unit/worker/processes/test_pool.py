"""Processes of handlers, started and stopped; and what they are told."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.worker.processes import handlers
from tests.unit.worker.processes.driver import (
    HERE,
    gone,
    run,
    told,
)

from osqueue.client.models import Job
from osqueue.config import MIB, ProcessSettings
from osqueue.errors import ConfigError, EngineStateError
from osqueue.jobs import Schema
from osqueue.worker import process as process_module
from osqueue.worker.processes import (
    ProcessContext,
    ProcessDied,
    ProcessPool,
    target_of,
    types_of,
)


def test_types_of_what_cannot_be_handed_over_then_the_handlers_own_hold() -> None:
    class Local: ...

    assert types_of(Schema.of(Local), None) == b""


def test_types_of_a_name_that_cannot_be_imported_then_said() -> None:
    with pytest.raises(ConfigError, match="cannot be imported"):
        types_of(Schema.of("no.such.module:Email"), None)


def test_context_of_a_job_then_the_same_job_again() -> None:
    job = Job(
        job_id="j", type="t", raw_payload=b"[1]", worker_id="w", lease="l", attempt=2,
        max_attempts=3, created_at=4, priority=5, traceparent="p", timeout_ms=6, keep_result=True,
    )  # fmt: skip
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    context = ProcessContext.of(job, deadline=moment, types=b"x")
    assert context.deadline_ms == moment.timestamp() * 1_000
    assert msgspec.structs.astuple(context.job(b"[1]")) == msgspec.structs.astuple(job)


@pytest.fixture
def no_descriptors() -> Iterator[Callable[[], None]]:
    """Leave no more than those that are open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def leave_none() -> None:
        opened = len([*Path("/proc/self/fd").iterdir()])
        resource.setrlimit(resource.RLIMIT_NOFILE, (opened, hard))

    yield leave_none
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_run_when_no_process_can_be_started_then_the_reason(
    no_descriptors: Callable[[], None],
) -> None:
    async with ProcessPool(1, ProcessSettings(warm=0)) as pool:
        no_descriptors()
        with pytest.raises(ProcessDied, match=r"could be started: .*Too many open files"):
            await run(pool, "echo", 1)


async def test_run_when_processes_do_not_begin_then_said_after_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_module, "_BOOT", "raise SystemExit(5)")
    async with ProcessPool(1) as pool:
        with pytest.raises(ProcessDied, match=r"no process could begin with it: .*exit code 5"):
            await run(pool, "echo", 1)


async def test_run_when_a_process_does_not_come_to_its_first_job_then_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_module, "_BOOT", "import time; time.sleep(600)")
    async with ProcessPool(1, ProcessSettings(start_ms_max=1, starts_max=2)) as pool:
        with pytest.raises(ProcessDied, match="did not come to its first job in time"):
            await run(pool, "echo", 1)


async def test_pool_when_closed_then_no_process_is_left_and_none_is_started(
    tmp_path: Path,
) -> None:
    pool = ProcessPool(2)
    await pool.start()
    idle = await run(pool, "pid")
    hanging = asyncio.create_task(run(pool, "hang", str(tmp_path / "pids")))
    pids = [int(each) for each in (await told(tmp_path / "pids")).split()]
    await pool.close()
    await pool.close()
    await gone(idle, *pids)
    with pytest.raises(ProcessDied):
        await hanging
    with pytest.raises(EngineStateError, match="were stopped"):
        await run(pool, "echo", 1)


@pytest.mark.parametrize("function", [handlers.echo, handlers.UnprintableError])
def test_target_of_a_function_of_a_module_then_its_name(function: Callable[..., Any]) -> None:
    assert target_of(function) == f"{HERE}:{function.__name__}"


def test_target_of_what_cannot_be_imported_then_refused() -> None:
    def inner(_payload: Any) -> None: ...

    for function in (inner, lambda _: None):
        with pytest.raises(ConfigError, match="must be a function at the top of its module"):
            target_of(function)


@pytest.mark.parametrize(
    "settings",
    [{"warm": -1}, {"starts_max": 0}, {"memory_bytes_max": MIB}],
)
def test_settings_when_they_make_no_sense_then_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        ProcessSettings(**settings).validate()
