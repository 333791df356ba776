"""Handlers in processes that are told to end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.unit.worker.processes.driver import (
    PATIENT,
    gone,
    run,
    told,
)

from osqueue.config import ProcessSettings
from osqueue.worker.processes import (
    ProcessPool,
)


@pytest.mark.parametrize("name", ["hang", "hang_natively"])
async def test_run_when_it_takes_too_long_then_timed_out_and_all_it_started_is_killed(
    name: str, impatient: ProcessPool, tmp_path: Path
) -> None:
    running = asyncio.create_task(run(impatient, name, str(tmp_path / "pids"), timeout_s=1))
    pids = [int(each) for each in (await told(tmp_path / "pids")).split()]
    with pytest.raises(TimeoutError, match="the handler ran longer than 1 s"):
        await running
    await gone(*pids)


async def test_run_when_it_is_deaf_to_signals_then_killed(
    impatient: ProcessPool, tmp_path: Path
) -> None:
    running = asyncio.create_task(run(impatient, "be_deaf", str(tmp_path / "pid")))
    pid = int(await told(tmp_path / "pid"))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await gone(pid)


@pytest.mark.parametrize("name", ["wait_until_told", "await_until_told"])
async def test_run_when_cancelled_then_the_handler_is_told_and_its_process_kept(
    name: str, tmp_path: Path
) -> None:
    async with ProcessPool(1, PATIENT) as pool:
        running = asyncio.create_task(run(pool, name, str(tmp_path / "said")))
        pid = int(await told(tmp_path / "said"))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await told(tmp_path / "said") == "told to end"
        assert await run(pool, "pid") == pid


async def test_run_when_cancelled_again_then_killed_at_once(tmp_path: Path) -> None:
    async with ProcessPool(1, PATIENT) as pool:
        running = asyncio.create_task(run(pool, "hang", str(tmp_path / "pids")))
        pids = [int(each) for each in (await told(tmp_path / "pids")).split()]
        running.cancel()
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await gone(*pids)


async def test_run_when_cancelled_while_its_process_starts_then_none_is_left() -> None:
    async with ProcessPool(1, ProcessSettings(warm=0)) as pool:
        for turns in range(8):
            running = asyncio.create_task(run(pool, "echo", 1))
            for _ in range(turns):
                await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait({running})
        assert await run(pool, "echo", 1) == 1
    assert not pool._all


async def test_run_when_cancelled_while_it_waits_for_a_process_then_nothing_is_lost(
    one: ProcessPool, tmp_path: Path
) -> None:
    first = asyncio.create_task(run(one, "report_once", str(tmp_path / "go")))
    second = asyncio.create_task(run(one, "echo", 1))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait({second})
    (tmp_path / "go").touch()
    await first
    assert await run(one, "echo", 2) == 2
