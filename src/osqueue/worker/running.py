"""A worker from its start to its stop: the parts, and the order in which they end.

Stopping: claim nothing more, and give back what has not begun; let handlers finish; cancel those
that don't and release their jobs; hand in the last reports; and only then stop the heartbeats that
kept all these leases. Each step has its time, so a stop ends whatever the broker and the handlers
do; in a hurry, nothing is let finish.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

from osqueue.client.models import Job
from osqueue.config import ProcessSettings
from osqueue.worker.announcement import announce
from osqueue.worker.callbacks import CallbackRunner
from osqueue.worker.calls import Around, Calls, Places
from osqueue.worker.claims import Claims
from osqueue.worker.context import WorkerContext
from osqueue.worker.execution import OWN_FILES, Execution
from osqueue.worker.handlers import Handlers
from osqueue.worker.heartbeats import Heartbeats
from osqueue.worker.leases import Stage
from osqueue.worker.processes import ProcessPool
from osqueue.worker.progress import ProgressBoard
from osqueue.worker.releases import Releases
from osqueue.worker.reports import Reports
from osqueue.worker.threads import Threads

__all__ = ["Footprint", "RunningWorker"]

_log = logging.getLogger("osqueue.worker")


class Footprint(NamedTuple):
    """How much a worker keeps at a moment."""

    held: int
    """Jobs that it holds, or whose reports were not taken."""
    running: int
    """Handlers that run."""
    unsent: int
    """Reports, releases and callbacks under way, and reports that wait to be sent."""
    progress: int
    """Jobs of whose progress something is to be told."""


class RunningWorker:
    """The started parts of one worker."""

    def __init__(
        self,
        context: WorkerContext,
        handlers: Handlers,
        *,
        around: Around,
        concurrency: int,
        processes: ProcessSettings,
        names_all: bool,
    ) -> None:
        self._context = context
        self._book = context.book
        self._places = _places(handlers, concurrency, processes)
        self._runner = CallbackRunner(context.settings.callback_ms)
        self._releases = Releases(context)
        self._claims = Claims(context, handlers.types, give_back=self._releases.begin)
        self._reports = Reports(
            context,
            callbacks=around.callbacks,
            runner=self._runner,
            own_files=OWN_FILES,
            sent=self._claims.sent,
        )
        self._progress = progress = ProgressBoard()
        self._execution = Execution(
            context,
            handlers,
            Calls(around, self._places, runner=self._runner, progress=progress),
            progress=progress,
            reports=self._reports,
            releases=self._releases,
        )
        heartbeats = Heartbeats(
            context,
            names_all=names_all,
            progress=progress,
            lost=self._execution.lost,
            sent=self._claims.sent,
        )
        self._hurried = False
        self._warming: asyncio.Task[None] | None = None
        context.changes.act = self._act
        context.changes.tell()
        self._beating = asyncio.create_task(heartbeats.run(), name="osqueue-heartbeats")
        announcing = announce(context, handlers)
        self._announcing = asyncio.create_task(announcing, name="osqueue-types")
        if self._places.processes is not None:
            warming = self._places.processes.start()
            self._warming = asyncio.create_task(warming, name="osqueue-processes")

    @property
    def footprint(self) -> Footprint:
        """What is kept in memory: each figure has a bound of its own."""
        return Footprint(
            held=len(self._book),
            running=self._book.running,
            unsent=len(self._reports) + len(self._releases.tasks) + len(self._runner.tasks),
            progress=len(self._progress),
        )

    def _act(self) -> None:
        """What there is to do after a turn of the loop in which something changed."""
        for job in self._book.start():
            self._execution.begin(job)
        self._reports.turn(claims=self._claims.turn())

    def hurry(self) -> None:
        """Let nothing finish any more."""
        self._hurried = True
        self._context.changes.tell()

    async def shut_down(self) -> None:
        """End all parts, in order."""
        settings, book = self._context.settings, self._book
        self._announcing.cancel()
        await self._claims.stop()
        self._release(book.withdraw_waiting())
        await self._unhurried(settings.grace_ms, lambda: not book.running)
        self._release(await self._withdraw())
        await self._unhurried(settings.settle_ms, self._settled)
        if self._hurried:
            await self._context.changes.within(settings.hurry_ms, self._settled)
        self._beating.cancel()
        await asyncio.wait({self._beating, self._announcing})
        await self._give_up()
        await self._close_places()

    async def _close_places(self) -> None:
        self._places.threads.close()
        if self._places.processes is not None and self._warming is not None:
            await asyncio.wait({self._warming})
            await self._places.processes.close()

    async def _unhurried(self, ms: int, true: Callable[[], bool]) -> None:
        """Wait for something, for so long at most; not at all in a hurry."""
        await self._context.changes.within(ms, lambda: self._hurried or true())

    async def _withdraw(self) -> list[Job]:
        """Tell what still runs to end; answers its jobs, once it has ended, or will not."""
        book, withdrawn = self._book, self._execution.withdraw()
        if withdrawn:
            _log.info("%d handlers did not finish in time; releasing their jobs", len(withdrawn))
        await self._unhurried(
            self._context.settings.settle_ms,
            lambda: all(book.stage(job) is not Stage.WITHDRAWN for job in withdrawn),
        )
        return withdrawn

    def _release(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            self._releases.begin(job)

    def _settled(self) -> bool:
        """Whether the broker has been told all, and the program too."""
        return not (self._book.holds_any or self._runner.tasks)

    async def _give_up(self) -> None:
        unsettled = {*self._reports.tasks, *self._releases.tasks, *self._runner.tasks}
        stubborn = self._execution.tasks
        for task in (*unsettled, *stubborn):
            task.cancel()
        if self._book.holds_any:
            _log.warning(
                "%d reports did not reach the broker: their jobs may run again",
                len(self._book.held()),
            )
        if stubborn:
            _log.warning("%d handlers do not end; they are left alone", len(stubborn))
        if unsettled:
            await asyncio.wait(unsettled, timeout=self._context.settings.settle_ms / 1_000)


def _places(handlers: Handlers, concurrency: int, processes: ProcessSettings) -> Places:
    threads = Threads(concurrency)
    if not handlers.in_processes:
        return Places(threads, None)
    return Places(threads, ProcessPool(concurrency, processes, targets=handlers.targets))
