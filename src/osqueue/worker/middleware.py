"""What a program wraps around all its handlers: transactions, metrics, traces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from osqueue.errors import WorkerExecutionError
from osqueue.worker.job_context import JobContext

__all__ = ["CallNext", "Middleware", "wrapped"]

CallNext: TypeAlias = Callable[[], Awaitable[Any]]
"""Runs what is inside, and answers what the handler returned; it raises what that raised."""

Middleware: TypeAlias = Callable[[JobContext, CallNext], Awaitable[Any]]
"""``async def middleware(ctx, call_next)``; what it returns is the job's result."""


async def wrapped(middlewares: Sequence[Middleware], context: JobContext, handler: CallNext) -> Any:
    """Run a handler inside of all of them; the first is the outermost.

    Raises `WorkerExecutionError` for one that does not run what is inside exactly once: a job must
    not count as done when nothing was done, nor be done twice.
    """
    inner: CallNext = handler
    for middleware in reversed(middlewares):
        inner = _Layer(middleware, context, inner)
    return await inner()


class _Layer:
    def __init__(self, middleware: Middleware, context: JobContext, inner: CallNext) -> None:
        self._middleware = middleware
        self._context = context
        self._inner = inner
        self._called = False

    async def __call__(self) -> Any:
        result = await self._middleware(self._context, self._call_next)
        if not self._called:
            raise WorkerExecutionError(
                f"{_name(self._middleware)} returned without calling call_next, so nothing was "
                "done; to end a job without its handler, raise Discard or Retry"
            )
        return result

    async def _call_next(self) -> Any:
        if self._called:
            raise WorkerExecutionError(f"{_name(self._middleware)} called call_next twice")
        self._called = True
        return await self._inner()


def _name(middleware: Middleware) -> str:
    return getattr(middleware, "__qualname__", None) or repr(middleware)
