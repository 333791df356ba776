"""Handlers: what a program does with a job.

A handler takes the payload, or the payload and the `JobContext`, told apart by its required
positional parameters. Async functions run on the loop, plain ones in a thread. One that is named as
``module:name`` is imported when the first of its jobs comes.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from osqueue.client.models import Job
from osqueue.config import CLAIM_TYPES_MAX
from osqueue.errors import ConfigError, PayloadValidationError, WorkerExecutionError
from osqueue.worker.failures import FatalError

__all__ = ["Handler", "HandlerFunction", "Handlers"]

HandlerFunction: TypeAlias = Callable[..., Any] | str
"""A function, or where to import it from: ``module:name``."""

_POSITIONAL: Final = frozenset(
    {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
)


class Handler(msgspec.Struct, frozen=True, kw_only=True):
    """A handler's function, looked at once."""

    function: Callable[..., Any]
    on_loop: bool
    takes_context: bool
    timeout_s: float | None = None

    def payload(self, job: Job) -> Any:
        """What the handler is given of a job. Raises `FatalError`."""
        try:
            return job.payload
        except PayloadValidationError as error:
            raise FatalError(error) from None


class Handlers:
    """Handlers by job type. Raises `ConfigError` for one that cannot be called with a job."""

    def __init__(self, functions: Mapping[str, HandlerFunction]) -> None:
        if not functions:
            raise ConfigError("a worker needs at least one handler")
        if len(functions) > CLAIM_TYPES_MAX:
            raise ConfigError(f"a worker can have at most {CLAIM_TYPES_MAX} handlers")
        self.types = list(functions)
        """The job types that there are handlers for."""
        self._ready: dict[str, Handler] = {}
        self._named: dict[str, str] = {}
        for job_type, function in functions.items():
            self._add(job_type, function)

    def get(self, job_type: str) -> Handler | None:
        """The handler, if there is one that needs no import first."""
        return self._ready.get(job_type)

    def load(self, job_type: str) -> Handler:
        """The handler, imported if need be: this takes its time. Raises `FatalError`."""
        ready = self._ready.get(job_type)
        if ready is not None:
            return ready
        if job_type not in self._named:
            raise FatalError(WorkerExecutionError(f"no handler for {job_type!r}"))
        try:
            handler = inspected(job_type, imported(self._named[job_type]))
        except ConfigError as error:
            raise FatalError(error) from error.__cause__
        self._ready[job_type] = handler
        return handler

    def _add(self, job_type: str, function: HandlerFunction) -> None:
        if not job_type:
            raise ConfigError("a handler needs a job type: jobs without one cannot be asked for")
        if not isinstance(function, str):
            self._ready[job_type] = inspected(job_type, function)
        elif _is_name(function):
            self._named[job_type] = function
        else:
            raise ConfigError(
                f"the handler of {job_type!r} is neither callable nor named as module:name: "
                f"{function!r}"
            )


def inspected(job_type: str, function: Callable[..., Any]) -> Handler:
    """A handler's function, looked at. Raises `ConfigError`."""
    if not callable(function):
        raise ConfigError(f"the handler of {job_type!r} is not callable: {function!r}")
    return Handler(
        function=function,
        on_loop=_is_async(function),
        takes_context=_takes_context(job_type, function),
    )


def imported(name: str) -> Any:
    """What ``module:name`` names. Raises `ConfigError`, whatever the import fails of."""
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:  # a module may fail, or exit, as it likes
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"the handler {name!r} cannot be imported: {reason}") from error
    return found


def _is_name(name: str) -> bool:
    module, colon, path = name.partition(":")
    parts: Iterable[str] = (*module.split("."), *path.split("."))
    return bool(colon) and all(part.isidentifier() for part in parts)


def _is_async(function: Callable[..., Any]) -> bool:
    call = getattr(type(function), "__call__", None)  # noqa: B004 - asks how, not whether
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _takes_context(job_type: str, function: Callable[..., Any]) -> bool:
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
            f"the handler of {job_type!r} must take (payload) or (payload, ctx), "
            f"not {inspect.signature(function)}"
        )
    return len(positional) == 2
