"""What handlers in processes cost: starting one, a job in one that is there, ending a deaf one."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from osqueue.config import ProcessSettings
from osqueue.worker.processes import ProcessContext, ProcessPool

CONTEXT = ProcessContext(
    job_id="j", type="t", attempt=1, max_attempts=1, created_at=0, keep_result=True
)
STARTS = 20
JOBS = 5_000


def echo(payload: Any) -> Any:
    return payload


def hang(_payload: Any) -> None:
    time.sleep(600)


async def timed_us(call: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * 1e6


async def first_job_us() -> float:
    async with ProcessPool(1, ProcessSettings(warm=0)) as pool:
        return await timed_us(lambda: pool.run("bench.processes:echo", b"1", CONTEXT))


async def cut_short(pool: ProcessPool) -> None:
    try:
        await pool.run("bench.processes:hang", b"1", CONTEXT, timeout_s=0.001)
    except TimeoutError:
        return


async def main() -> None:
    starts = [await first_job_us() for _ in range(STARTS)]
    print(f"a process and its first job: {statistics.median(starts) / 1_000:.0f} ms")
    async with ProcessPool(1, ProcessSettings(cancel_ms=0)) as pool:
        await pool.run("bench.processes:echo", b"1", CONTEXT)
        cpu = time.process_time()
        jobs = [
            await timed_us(lambda: pool.run("bench.processes:echo", b"1", CONTEXT))
            for _ in range(JOBS)
        ]
        cpu = (time.process_time() - cpu) / JOBS * 1e6
        print(f"a job in a process that is there: {statistics.median(jobs):.0f} us,")
        print(f"of which the worker's processor: {cpu:.0f} us")
        ends = [await timed_us(lambda: cut_short(pool)) for _ in range(STARTS)]
        print(
            f"ending one whose time is up: {statistics.median(ends) / 1_000:.0f} ms, with its start"
        )


if __name__ == "__main__":
    asyncio.run(main())
