"""What the tests of processes share."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import psutil
from tests.unit.worker.processes import handlers

from osqueue.config import ProcessSettings
from osqueue.worker.processes import (
    ProcessContext,
    ProcessPool,
)

HERE = handlers.__name__
CONTEXT = ProcessContext(
    job_id="job-1", type="t", attempt=2, max_attempts=3, created_at=5, keep_result=True
)
PATIENT = ProcessSettings(cancel_ms=30_000)
IMPATIENT = ProcessSettings(cancel_ms=0)


async def run(pool: ProcessPool, name: str, payload: object = None, **options: Any) -> Any:
    """What the handler of that name returns."""
    context = options.pop("context", CONTEXT)
    result = await pool.run(f"{HERE}:{name}", json.dumps(payload).encode(), context, **options)
    return None if result is None else json.loads(result)


async def told(path: Path) -> str:
    """What a handler puts into a file."""
    async with asyncio.timeout(30):
        while not path.exists():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.001)
    content = path.read_text()
    path.unlink()
    return content


async def gone(*pids: int) -> None:
    """Return when none of these processes runs any more."""
    async with asyncio.timeout(30):
        while any(is_running(pid) for pid in pids):  # noqa: ASYNC110 - not our children
            await asyncio.sleep(0.001)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
