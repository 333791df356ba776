"""A worker process, from what it was asked to run to its exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import Final, NamedTuple, NoReturn

from osqueue.cli.connecting import attend
from osqueue.cli.failures import CliError
from osqueue.cli.output import say
from osqueue.cli.signals import StopRequest, first_of
from osqueue.cli.targets import Target, load_target, make_worker
from osqueue.cli.workers.control import ANSWERED, PULSE, READY, UNLOADABLE, Control
from osqueue.cli.workers.heartbeat_file import HeartbeatFile
from osqueue.cli.workers.plan import WorkerPlan
from osqueue.cli.workers.pulse import Pulse
from osqueue.client import OsqueueClient
from osqueue.forks import keep_grpc_out
from osqueue.worker import Worker

__all__ = ["run"]


THREADS: Final = "osqueue_"
"""How the names of a worker's threads begin."""

TASKS: Final = "osqueue-job-"
"""The same of its tasks that run handlers."""

IDLE_S_MAX: Final = 0.2
"""A thread that runs no handler ends in less."""


def run(plan: WorkerPlan, control: Control | None = None) -> int:
    """Be a worker until stopped; answers the exit code."""
    keep_grpc_out()  # before the target is imported, which may use gRPC as well
    try:
        file = None if plan.heartbeat_file is None else HeartbeatFile(plan.heartbeat_file)
        watchers = _Watchers(file, control)
        with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
            code = runner.run(_run(plan, load_target(plan.target), watchers))
    except CliError:
        if control is not None:
            control.say(UNLOADABLE)
        raise
    _leave_stubborn_threads(code)
    return code


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """That of uvloop where it is installed, as with a broker: a third less work per job."""
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - the command line does not bring it
    except ImportError:
        return None
    return new_event_loop


class _Watchers(NamedTuple):
    """Who wants to know that this worker is well."""

    file: HeartbeatFile | None
    control: Control | None


async def _run(plan: WorkerPlan, target: Target, watchers: _Watchers) -> int:
    async with attend(plan.broker) as (client, guard):
        worker = make_worker(target, client, plan)
        with (
            StopRequest(supervised=plan.supervised, hurries=True) as stop,
            nullcontext() if watchers.control is None else watchers.control.heeded(stop),
        ):
            async with _watched(client, watchers):
                await worker.start()
                say(f"Worker {worker.worker_id} takes jobs from {plan.broker.place}")
                try:
                    await first_of(stop.wait(), guard())
                    say(_stopping(worker.running))
                finally:
                    await _stop(worker, stop)
            code = stop.exit_code
    _leave_stubborn_tasks(code)
    return code


@asynccontextmanager
async def _watched(client: OsqueueClient, watchers: _Watchers) -> AsyncIterator[None]:
    """Tell them, while the worker runs."""
    file, control = watchers
    pulse = Pulse(client, answered=lambda: None if file is None else file.beat())
    tasks = []
    if file is not None or control is not None:
        tasks.append(asyncio.create_task(pulse.ask(), name="osqueue-pulse"))
    if control is not None:
        control.say(READY)
        told = pulse.tell(lambda answers: control.say(ANSWERED if answers else PULSE))
        tasks.append(asyncio.create_task(told, name="osqueue-control"))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _stop(worker: Worker, stop: StopRequest) -> None:
    """Let jobs finish, unless asked to hurry."""
    stopping = asyncio.create_task(worker.stop())
    hurrying = asyncio.create_task(stop.wait_hurry())
    await asyncio.wait({stopping, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    if hurrying.done():
        await worker.stop_at_once()
    hurrying.cancel()
    await stopping


def _leave_stubborn_tasks(code: int) -> None:
    """End the process although async handlers still run: their jobs have been given back.

    The loop would wait for them without end.
    """
    if any(each.get_name().startswith(TASKS) for each in asyncio.all_tasks()):
        _leave(code)


def _leave_stubborn_threads(code: int) -> None:
    """The same for handlers in threads, which the interpreter would wait for."""
    threads = [each for each in threading.enumerate() if each.name.startswith(THREADS)]
    for thread in threads:
        thread.join(IDLE_S_MAX)
    if any(thread.is_alive() for thread in threads):
        _leave(code)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    logging.shutdown()
    os._exit(code)


def _stopping(running: int) -> str:
    if not running:
        return "Stopping worker..."
    jobs = "1 running job" if running == 1 else f"{running} running jobs"
    return f"Stopping worker: letting {jobs} finish..."
