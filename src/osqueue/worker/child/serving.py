"""The two threads of a process of handlers: the main one runs them, the other one listens.

So a handler is where libraries expect to be, on the main thread, and is still told to end. When the
worker goes, the process goes: at once if a handler runs, with all that this has started.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.runners
import contextlib
import contextvars
import inspect
import os
import queue
import sys
import threading
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from osqueue.client.failures import pause_ms
from osqueue.config import MIB
from osqueue.errors import ConfigError, Discard, PayloadValidationError, Retry
from osqueue.worker.child import calling
from osqueue.worker.child.calling import Callee, Program
from osqueue.worker.child.frames import (
    EXHAUSTED_EXIT,
    Answer,
    Begin,
    Begun,
    Cancel,
    Discarded,
    Done,
    Failed,
    Progressed,
    Retried,
    Run,
)
from osqueue.worker.child.link import Link
from osqueue.worker.child.progress import ProgressTeller
from osqueue.worker.child.surroundings import end_group, prepare, settle
from osqueue.worker.failures import FatalError, describe
from osqueue.worker.job_context import JobContext

__all__ = ["main"]

_OWN_FILES: Final = frozenset(
    {__file__, calling.__file__, asyncio.runners.__file__, asyncio.base_events.__file__}
)


def main(link: int, life: int) -> None:
    """Serve the worker at the other end of ``link`` until it goes."""
    settle(life)
    Serving(Link(link)).run()


class _Job:
    """A job from its arrival to its answer. Cancelled by the thread that listens."""

    def __init__(self, run: Run, link: Link) -> None:
        self.run = run
        self.progress = ProgressTeller(lambda told: link.send(Progressed(run.number, told)))
        self.context = JobContext(
            run.context.job(run.payload),
            deadline=_moment(run.context.deadline_ms),
            tell=self.progress.report,
        )
        self._runner: tuple[asyncio.AbstractEventLoop, asyncio.Future[Any]] | None = None

    def cancel(self) -> None:
        self.context.cancelled.set()
        if self._runner is not None:
            loop, task = self._runner
            loop.call_soon_threadsafe(task.cancel)

    async def on_loop(self, awaitable: Awaitable[Any]) -> Any:
        """Run an async handler so that it can be cancelled."""
        task = asyncio.ensure_future(awaitable)
        self._runner = asyncio.get_running_loop(), task
        if self.context.cancelled.is_set():
            task.cancel()
        try:
            return await task
        finally:
            self._runner = None


class Serving:
    """Runs what comes, one after another."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._inbox: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._current: _Job | None = None
        self._runner: asyncio.Runner | None = None

    def run(self) -> None:
        begin = self._link.receive()
        if begin is None:
            return
        assert isinstance(begin, Begin), "the worker says first what this is to be"
        prepare(begin)
        program = Program(begin)
        threading.Thread(target=self._listen, name="osqueue-listener", daemon=True).start()
        _import_ahead(program, begin.targets)
        while (job := self._inbox.get()) is not None:
            self._see_through(program, job)

    def _listen(self) -> None:
        while (request := self._link.receive()) is not None:
            if isinstance(request, Run):
                self._current = _Job(request, self._link)
                self._inbox.put(self._current)
            elif isinstance(request, Cancel):
                self._cancel(request.number)
        if self._current is not None:
            end_group()
        self._inbox.put(None)

    def _cancel(self, number: int) -> None:
        job = self._current
        if job is not None and job.run.number == number:
            job.cancel()

    def _see_through(self, program: Program, job: _Job) -> None:
        """Run a job and answer. A process that ran out of memory is not used again."""
        self._link.send(Begun(job.run.number))
        try:
            answer, fit = self._answer(program, job)
        except MemoryError:
            os._exit(EXHAUSTED_EXIT)
        _flush()
        self._current = None
        self._link.send(answer)
        if not fit:
            os._exit(0)

    def _answer(self, program: Program, job: _Job) -> tuple[Answer, bool]:
        run = job.run
        try:
            callee = program.callee(run.target, run.context)
            payload = callee.decode(run.payload)
        except MemoryError:
            raise
        except BaseException as error:  # noqa: BLE001 - types of the program's own may raise it
            for_good = isinstance(error, ConfigError | PayloadValidationError)
            return _failed(run, error, retry=not for_good), True
        try:
            result = self._call(callee, payload, job)
            kept = callee.encode(result) if run.context.keep_result else None
            return Done(run.number, kept), True
        except FatalError as error:
            return _failed(run, error.error, retry=False), True
        except MemoryError as error:
            return _failed(run, _explained(error, program.memory_bytes_max), retry=True), False
        except BaseException as error:  # noqa: BLE001 - whatever it raises, it failed
            return _raised(run, error), True

    def _call(self, callee: Callee, payload: Any, job: _Job) -> Any:
        arguments = (payload, job.context) if callee.takes_context else (payload,)
        try:
            result = contextvars.copy_context().run(callee.function, *arguments)
            if inspect.isawaitable(result):
                result = self._await(result, job)
        finally:
            if self._link.is_forked:
                os._exit(0)
            job.progress.end()
        return result

    def _await(self, awaitable: Awaitable[Any], job: _Job) -> Any:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(job.on_loop(awaitable), context=contextvars.copy_context())


def _import_ahead(program: Program, targets: Sequence[str]) -> None:
    """What cannot be imported is told to the job that needs it."""
    for target in targets:
        with contextlib.suppress(ConfigError):
            program.load(target)


def _raised(run: Run, error: BaseException) -> Answer:
    match error:
        case Retry():
            asked_ms = pause_ms(error)
            after_s = None if asked_ms is None else asked_ms / 1_000
            return Retried(run.number, after_s, _text(error.reason))
        case Discard():
            return Discarded(run.number, _text(error.reason))
        case _:
            return _failed(run, error, retry=True)


def _text(reason: object) -> str:
    """Of what a handler has put there, what can travel, and is kept."""
    return describe(Exception(reason), without=_OWN_FILES).message


def _explained(error: MemoryError, memory_bytes_max: int | None) -> MemoryError:
    """The same, saying why, where it says nothing as the interpreter's own do."""
    if error.args or memory_bytes_max is None:
        return error
    limit = f"a process of handlers may take {memory_bytes_max / MIB:g} MiB"
    return MemoryError(limit).with_traceback(error.__traceback__)


def _failed(run: Run, error: BaseException, *, retry: bool) -> Failed:
    return Failed(run.number, describe(error, without=_OWN_FILES), retry)


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1_000, UTC)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
