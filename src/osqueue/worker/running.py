"""A worker from its start to its stop: the parts, and the order in which they end.

Stopping: claim nothing more; let handlers finish; cancel those that don't and release their jobs;
hand in the last reports; and only then stop the heartbeats that kept all these leases. Each step
has its time, so a stop ends whatever the broker and the handlers do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from osqueue.worker.claims import Claims
from osqueue.worker.completions import Completions
from osqueue.worker.context import WorkerContext
from osqueue.worker.execution import Callbacks, Execution
from osqueue.worker.handlers import Handler
from osqueue.worker.heartbeats import Heartbeats
from osqueue.worker.releases import Releases

__all__ = ["RunningWorker"]

_log = logging.getLogger("osqueue.worker")
_Task = asyncio.Task[None]


class RunningWorker:
    """The started parts of one worker. ``threads`` is how many plain handlers run at once."""

    def __init__(
        self,
        context: WorkerContext,
        handlers: Mapping[str, Handler],
        *,
        callbacks: Callbacks,
        threads: int,
        names_all: bool,
    ) -> None:
        self._settings = context.settings
        self._executor = _executor(handlers, threads)
        self._completions = Completions(context)
        self._releases = Releases(context)
        self._execution = Execution(
            context,
            handlers,
            executor=self._executor,
            completions=self._completions,
            callbacks=callbacks,
        )
        claims = Claims(
            context,
            list(handlers),
            begin=self._execution.begin,
            give_back=self._releases.begin,
        )
        heartbeats = Heartbeats(context, names_all=names_all, lost=self._execution.lost)
        self._claiming = asyncio.create_task(claims.run(), name="osqueue-claims")
        self._beating = asyncio.create_task(heartbeats.run(), name="osqueue-heartbeats")

    async def shut_down(self) -> None:
        """End all parts, in order."""
        self._claiming.cancel()
        await asyncio.wait({self._claiming})
        await _wait(self._execution.tasks, self._settings.grace_ms)
        stubborn = await self._withdraw()
        await _wait(self._unsettled(stubborn), self._settings.settle_ms)
        self._beating.cancel()
        await asyncio.wait({self._beating})
        await self._give_up(stubborn)
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    async def _withdraw(self) -> set[_Task]:
        """Cancel what still runs and release its jobs; answers the tasks that did not end."""
        withdrawn = self._execution.withdraw()
        if not withdrawn:
            return set()
        _log.info("%d handlers did not finish in time; releasing their jobs", len(withdrawn))
        await _wait(withdrawn.values(), self._settings.settle_ms)
        for job in withdrawn:
            self._releases.begin(job)
        return {task for task in withdrawn.values() if not task.done()}

    def _unsettled(self, stubborn: set[_Task]) -> set[_Task]:
        return ({*self._execution.tasks} - stubborn) | {*self._releases.tasks}

    async def _give_up(self, stubborn: set[_Task]) -> None:
        unsettled = self._unsettled(stubborn)
        for task in unsettled | stubborn:
            task.cancel()
        await self._completions.stop()
        await _wait(unsettled, self._settings.settle_ms)
        if unsettled:
            _log.warning(
                "%d reports did not reach the broker: their jobs may run again", len(unsettled)
            )
        if stubborn:
            _log.warning("%d handlers do not end; they are left alone", len(stubborn))


def _executor(handlers: Mapping[str, Handler], threads: int) -> ThreadPoolExecutor | None:
    if all(handler.on_loop for handler in handlers.values()):
        return None
    return ThreadPoolExecutor(threads, thread_name_prefix="osqueue")


async def _wait(tasks: Collection[_Task], ms: int) -> None:
    if tasks:
        await asyncio.wait(set(tasks), timeout=ms / 1_000)
