"""Handlers: what a program does with a job.

A handler takes the payload, or the payload and the `Job`, told apart by its required positional
parameters. Async functions run on the loop, plain ones in a thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, Final

import msgspec

from osqueue.client.models import Job
from osqueue.config import CLAIM_TYPES_MAX
from osqueue.errors import ConfigError

__all__ = ["Handler", "inspect_handlers"]

_POSITIONAL: Final = frozenset(
    {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
)


class Handler(msgspec.Struct, frozen=True):
    """A handler's function, looked at once."""

    function: Callable[..., Any]
    on_loop: bool
    takes_job: bool

    async def run(self, payload: Any, job: Job, executor: Executor | None) -> None:
        """Run it to its end. What it returns is awaited if it can be, and then dropped."""
        arguments = (payload, job) if self.takes_job else (payload,)
        if self.on_loop:
            await self.function(*arguments)
            return
        context = contextvars.copy_context()
        result = await asyncio.get_running_loop().run_in_executor(
            executor, context.run, self.function, *arguments
        )
        if inspect.isawaitable(result):
            await result


def inspect_handlers(functions: Mapping[str, Callable[..., Any]]) -> dict[str, Handler]:
    """Handlers by job type. Raises `ConfigError` for one that cannot be called with a job."""
    if not functions:
        raise ConfigError("a worker needs at least one handler")
    if len(functions) > CLAIM_TYPES_MAX:
        raise ConfigError(f"a worker can have at most {CLAIM_TYPES_MAX} handlers")
    return {job_type: _inspect(job_type, function) for job_type, function in functions.items()}


def _inspect(job_type: str, function: Callable[..., Any]) -> Handler:
    if not job_type:
        raise ConfigError("a handler needs a job type: jobs without one cannot be asked for")
    if not callable(function):
        raise ConfigError(f"the handler of {job_type!r} is not callable: {function!r}")
    return Handler(function, _is_async(function), _takes_job(job_type, function))


def _is_async(function: Callable[..., Any]) -> bool:
    call = getattr(type(function), "__call__", None)  # noqa: B004 - asks how, not whether
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _takes_job(job_type: str, function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # built in, and does not say what it takes
        return False
    required = [each for each in parameters if each.default is each.empty]
    positional = [each for each in required if each.kind in _POSITIONAL]
    keywords = [each.name for each in required if each.kind is each.KEYWORD_ONLY]
    takes_any = any(each.kind in _POSITIONAL | {each.VAR_POSITIONAL} for each in parameters)
    if keywords or len(positional) > 2 or not takes_any:
        raise ConfigError(
            f"the handler of {job_type!r} must take (payload) or (payload, job), "
            f"not {inspect.signature(function)}"
        )
    return len(positional) == 2
