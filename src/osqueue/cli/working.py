"""A worker process, from what it was asked to run to its exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from typing import Final

import msgspec

from osqueue.cli.connecting import attend
from osqueue.cli.options import Broker
from osqueue.cli.output import say
from osqueue.cli.signals import StopRequest, first_of
from osqueue.cli.targets import Target, load_target, make_worker

__all__ = ["WorkerPlan", "run"]


THREADS: Final = "osqueue_"
"""How the names of a worker's threads begin."""

IDLE_S_MAX: Final = 0.2
"""A thread that runs no handler ends in less."""


class WorkerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker was asked to be."""

    target: str
    broker: Broker
    concurrency: int | None
    supervised: bool


def run(plan: WorkerPlan) -> int:
    """Be a worker until stopped; answers the exit code."""
    code = asyncio.run(_run(plan, load_target(plan.target)))
    _leave_stubborn_handlers(code)
    return code


async def _run(plan: WorkerPlan, target: Target) -> int:
    async with attend(plan.broker) as (client, guard):
        worker = make_worker(target, client, spec=plan.target, concurrency=plan.concurrency)
        with StopRequest(supervised=plan.supervised) as stop:
            async with worker:
                say(f"Worker {worker.worker_id} takes jobs from {plan.broker.place}")
                await first_of(stop.wait(), guard())
                say(_stopping(worker.running))
    return 0


def _leave_stubborn_handlers(code: int) -> None:
    """End the process although handlers still run in threads: their jobs have been given back.

    The interpreter would wait for them without end.
    """
    threads = [each for each in threading.enumerate() if each.name.startswith(THREADS)]
    for thread in threads:
        thread.join(IDLE_S_MAX)
    if any(thread.is_alive() for thread in threads):
        sys.stdout.flush()
        logging.shutdown()
        os._exit(code)


def _stopping(running: int) -> str:
    if not running:
        return "Stopping worker..."
    jobs = "1 running job" if running == 1 else f"{running} running jobs"
    return f"Stopping worker: letting {jobs} finish..."
