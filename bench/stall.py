"""How long the event loop stands still while a queue of 30 MB is at work.

An engine in this process and jobs that are claimed and completed all over it, so every commit
encodes and writes the whole state. A ticker every millisecond measures the gaps, and what this
process spent of a processor in each: a long gap without that is the machine's, which ran something
else. Taking the queue over, which reads it all at once, is left out.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import time

import uvloop
from load import emit
from msgspec import Raw

from osqueue.allocator import keep_large_buffers
from osqueue.broker.waiting import WaitingClaims
from osqueue.clock import SystemClock, SystemEntropy
from osqueue.config import BrokerSettings
from osqueue.engine.callers import Caller
from osqueue.engine.election import Ask, ProbeAnswer
from osqueue.engine.engine import Engine
from osqueue.model.ops import Claim, Complete, LeaseRef, NewJob, Submit
from osqueue.model.outcomes import Claimed
from osqueue.storage import open_store

JOBS = 100_000
PAYLOAD = Raw(b'{"to":"' + b"x" * 160 + b'"}')
SECONDS = 10
WORKERS = 16


async def refused(_: Ask) -> ProbeAnswer:
    return ProbeAnswer.REFUSED


async def tick(gaps: list[tuple[float, float]]) -> None:
    """Each gap's length, and the processor time of the process in it, in ms."""
    before, spent = time.perf_counter(), time.process_time()
    while True:
        await asyncio.sleep(0.001)
        now, cpu = time.perf_counter(), time.process_time()
        gaps.append(((now - before) * 1e3, (cpu - spent) * 1e3))
        before, spent = now, cpu


async def work(engine: Engine, entropy: SystemEntropy, until: float) -> int:
    done = 0
    while time.perf_counter() < until:
        claim = Claim("w", entropy.token(), max=4)
        outcome = (await engine.claim(claim, wait_ms=0, caller=Caller())).outcome
        assert isinstance(outcome, Claimed)
        refs = tuple(LeaseRef(grant.id, grant.lease) for grant in outcome.grants)
        await engine.ask(Complete("w", refs))
        done += len(refs)
    return done


async def run(storage: str) -> None:
    store, entropy = open_store(storage), SystemEntropy()
    engine = Engine(
        store,
        "queue.json",
        address="bench:1",
        settings=BrokerSettings(),
        clock=SystemClock(),
        entropy=entropy,
        waiting=WaitingClaims,
        probe=refused,
    )
    await engine.start()
    for _ in range(JOBS // 1_000):
        jobs = tuple(NewJob(entropy.job_id(), "email:send", PAYLOAD) for _ in range(1_000))
        await engine.ask(Submit(jobs))
    gc.collect()
    gc.freeze()
    gaps: list[tuple[float, float]] = []
    ticking = asyncio.create_task(tick(gaps))
    commits, until = engine.status().commits, time.perf_counter() + SECONDS
    done = sum(await asyncio.gather(*[work(engine, entropy, until) for _ in range(WORKERS)]))
    ticking.cancel()
    gaps.sort()
    emit(
        "stall.event_loop_ms",
        store=storage.partition(":")[0],
        state_mb=round(len(engine.durable) / 1e6, 1),
        commits=engine.status().commits - commits,
        completed_per_s=round(done / SECONDS),
        p99=round(gaps[len(gaps) * 99 // 100][0], 1),
        longest=round(gaps[-1][0], 1),
        longest_busy=round(max(min(gap) for gap in gaps), 1),
        target=20,
    )
    await engine.stop()
    await store.close()


async def main() -> None:
    if len(sys.argv) > 1:
        await run(sys.argv[1])
        return
    await run("memory://")
    with tempfile.TemporaryDirectory() as folder:
        await run(f"file://{folder}")


if __name__ == "__main__":
    keep_large_buffers()
    uvloop.run(main())
