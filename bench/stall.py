"""How long the event loop stands still while a queue of 30 MB is at work.

An engine in this process and jobs that are claimed and completed all over it, so every commit
encodes and writes the whole state. A ticker every millisecond measures the gaps; taking the queue
over, which reads it all at once, is left out.
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
from osqueue.engine.election import ProbeAnswer
from osqueue.engine.engine import Engine
from osqueue.model.ops import Claim, Complete, LeaseRef, NewJob, Submit
from osqueue.model.outcomes import Claimed
from osqueue.model.snapshot import Origin
from osqueue.storage import open_store

JOBS = 100_000
PAYLOAD = Raw(b'{"to":"' + b"x" * 160 + b'"}')
SECONDS = 10
WORKERS = 16


async def refused(_: Origin) -> ProbeAnswer:
    return ProbeAnswer.REFUSED


async def tick(gaps: list[float]) -> None:
    before = time.perf_counter()
    while True:
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        gaps.append(now - before)
        before = now


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
    gaps: list[float] = []
    ticking = asyncio.create_task(tick(gaps))
    commits, until = engine.status().commits, time.perf_counter() + SECONDS
    done = sum(await asyncio.gather(*[work(engine, entropy, until) for _ in range(WORKERS)]))
    ticking.cancel()
    gaps.sort()
    emit(
        "stall.event_loop_ms",
        store=storage.partition(":")[0],
        state_mb=round(engine.status().state_bytes / 1e6, 1),
        commits=engine.status().commits - commits,
        completed_per_s=round(done / SECONDS),
        p99=round(gaps[len(gaps) * 99 // 100] * 1e3, 1),
        longest=round(gaps[-1] * 1e3, 1),
        next_longest=[round(gap * 1e3, 1) for gap in gaps[-4:-1]],
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
