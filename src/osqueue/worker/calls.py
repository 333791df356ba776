"""Calling a handler: with what it takes, where it is to run, inside of what a program has put
around it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from osqueue.jobs import JobCallbacks
from osqueue.tracing import handling
from osqueue.worker.attempt import Attempt
from osqueue.worker.callbacks import CallbackRunner
from osqueue.worker.handlers import Handler, Place
from osqueue.worker.job_context import JobContext
from osqueue.worker.middleware import Middleware, wrapped
from osqueue.worker.processes import ProcessContext, ProcessPool
from osqueue.worker.progress import ProgressBoard
from osqueue.worker.threads import Threads

__all__ = ["Around", "Calls", "Places"]

_T = TypeVar("_T")


class Around(msgspec.Struct, frozen=True):
    """What a program has put around its handlers."""

    middlewares: Sequence[Middleware]
    callbacks: JobCallbacks


class Places(msgspec.Struct, frozen=True):
    """Where handlers run, beside the loop."""

    threads: Threads
    processes: ProcessPool | None
    """``None`` when none of them runs there."""


class Calls:
    """Calls handlers. Whatever they raise is raised here."""

    def __init__(
        self,
        around: Around,
        places: Places,
        *,
        runner: CallbackRunner,
        progress: ProgressBoard,
    ) -> None:
        self._around = around
        self._places = places
        self._runner = runner
        self._progress = progress

    async def result(self, handler: Handler, attempt: Attempt) -> Raw | UnsetType:
        """Run a handler to its end; answers its result, if the job asks for that."""
        job, around = attempt.job, self._around
        if around.callbacks.claimed:
            await self._runner.told(around.callbacks.claimed, job)
        payload = None if handler.place is Place.PROCESS else handler.payload(job)
        with handling(job.job_id, job.type, job.attempt, job.traceparent):
            if around.middlewares:
                call = partial(self._call, handler, payload, attempt)
                returned = await wrapped(around.middlewares, self._context_of(attempt), call)
            else:
                returned = await self._call(handler, payload, attempt)
        return handler.kept(returned) if job.keep_result else UNSET

    async def in_thread(self, attempt: Attempt, function: Callable[..., _T], *arguments: Any) -> _T:
        """Call something of an attempt in a thread."""
        attempt.in_thread = attempt.was_in_thread = True
        try:
            return await self._places.threads.run(function, *arguments)
        finally:
            attempt.in_thread = False

    async def _call(self, handler: Handler, payload: Any, attempt: Attempt) -> Any:
        """What the handler returns; it is awaited if it can be."""
        if handler.function is None:
            return await self._in_process(handler, attempt)
        arguments = (payload, self._context_of(attempt)) if handler.takes_context else (payload,)
        if handler.place is Place.LOOP:
            return await handler.function(*arguments)
        returned = await self.in_thread(attempt, handler.function, *arguments)
        if not inspect.isawaitable(returned):
            return returned
        attempt.left_thread()
        return await returned

    async def _in_process(self, handler: Handler, attempt: Attempt) -> Any:
        processes = self._places.processes
        assert processes is not None, "there are handlers for them"
        result = await processes.run(
            handler.target,
            attempt.job.raw_payload,
            ProcessContext.of(attempt.job, deadline=attempt.deadline, types=handler.types),
            on_progress=partial(self._progress.tell, attempt.job.lease),
        )
        return None if result is None else handler.returned(result)

    def _context_of(self, attempt: Attempt) -> JobContext:
        context = attempt.context
        if context is None:
            context = attempt.context = JobContext(
                attempt.job,
                deadline=attempt.deadline,
                tell=partial(self._progress.tell, attempt.job.lease),
            )
        return context
