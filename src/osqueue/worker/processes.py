"""Handlers in processes: one job at a time in each, and processes are used again.

A handler there may block, crash, leak or hang: only its own job fails, with the reason, and its
process is replaced. A job is handed to another process only when the first ended before it had
begun with it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from osqueue.config import ProcessSettings
from osqueue.errors import ConfigError, EngineStateError
from osqueue.jobs.schema import Schema
from osqueue.jobs.signatures import UNSAID, described
from osqueue.wire.messages import Progress
from osqueue.worker.child.frames import Begin, ProcessContext, Run
from osqueue.worker.child.surroundings import LoggingPlan
from osqueue.worker.deaths import NeverBegan, ProcessDied, RemoteFailure
from osqueue.worker.process import HandlerProcess

__all__ = ["ProcessContext", "ProcessDied", "ProcessPool", "RemoteFailure", "target_of", "types_of"]

_log = logging.getLogger("osqueue.worker")


class ProcessPool:
    """Up to ``size`` processes. ``targets`` are imported in advance by each.

    One more than that may be under way only while it is being killed.
    """

    def __init__(
        self, size: int, settings: ProcessSettings | None = None, *, targets: Sequence[str] = ()
    ) -> None:
        self._settings = settings or ProcessSettings()
        self._settings.validate()
        self._targets = list(targets)
        self._warm = min(size, self._settings.warm)
        self._slots = asyncio.Semaphore(size)
        self._idle: list[HandlerProcess] = []
        self._all: set[HandlerProcess] = set()
        self._numbers = itertools.count(1)
        self._closed = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Start as many as are to be there from the beginning; they load while others go on."""
        try:
            for _ in range(self._warm):
                self._idle.append(await self._start())
        except ProcessDied as death:
            _log.warning("%s; trying again with the first job", death)

    async def run(
        self,
        target: str,
        payload: bytes,
        context: ProcessContext,
        *,
        timeout_s: float | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> bytes | None:
        """Run the handler named ``module:name``; answers its result in JSON, if that is wanted.

        Raises `RemoteFailure`, or `Retry` or `Discard` as the handler did; `TimeoutError`;
        `ProcessDied` when the process ended, or none could be started. When it is cancelled the
        handler is told to end, its process soon killed, and only then this returns.
        """
        run = Run(next(self._numbers), target, payload, context)
        reason = ""
        async with self._slots:
            for _ in range(self._settings.starts_max):
                process = await self._take()
                try:
                    return await process.run(run, timeout_s=timeout_s, on_progress=on_progress)
                except NeverBegan as death:
                    reason = str(death)
                    self._targets.clear()
                finally:
                    self._put_back(process)
        raise ProcessDied(f"no process could begin with it: {reason}")

    async def close(self) -> None:
        """End all processes; those with a job at once."""
        self._closed = True
        idle, self._idle = self._idle, []
        busy = self._all - {*idle}
        await asyncio.gather(*(each.stop() for each in idle), *(each.kill() for each in busy))

    async def _take(self) -> HandlerProcess:
        if self._closed:
            raise EngineStateError("the processes of handlers were stopped")
        while self._idle:
            process = self._idle.pop()
            if process.is_fit:
                return process
        return await self._start()

    async def _start(self) -> HandlerProcess:
        try:
            process = await HandlerProcess.start(
                _begin(self._targets, self._settings), self._settings, ended=self._forget
            )
        except (OSError, RuntimeError) as error:
            raise ProcessDied(f"no process could be started: {error}") from error
        self._all.add(process)
        return process

    def _put_back(self, process: HandlerProcess) -> None:
        if process.is_fit and not self._closed:
            self._idle.append(process)

    def _forget(self, process: HandlerProcess) -> None:
        self._all.discard(process)
        if process in self._idle:
            self._idle.remove(process)
            process.discard()
            if process.reason is not None:
                _log.warning("idle process %d of handlers: %s", process.pid, process.reason)


def target_of(function: Callable[..., Any]) -> str:
    """The name by which a process finds a handler: ``module:name``.

    Raises `ConfigError` for one that has none: a lambda, or a function inside another.
    """
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    if not module or not name or "<" in name:
        raise _not_found(function)
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if function not in {found, getattr(found, "__wrapped__", None)}:
        raise _not_found(function)
    return f"{module}:{name}"


def _not_found(function: object) -> ConfigError:
    return ConfigError(
        "a handler with executor='process' must be a function at the top of its module, where its "
        f"process finds it by its name: {described(function)} is none"
    )


def types_of(payload: Schema | None, result: Schema | None) -> bytes:
    """A handler's types for `ProcessContext.types`. Raises `ConfigError` for one that was named and
    cannot be imported.

    Empty where they cannot be handed over: then those of the handler's own definition hold.
    """
    types = [UNSAID if schema is None else schema.type for schema in (payload, result)]
    try:
        return pickle.dumps(types)
    except Exception:  # noqa: BLE001 - a type may be made in any way
        return b""


def _begin(targets: Sequence[str], settings: ProcessSettings) -> Begin:
    main = sys.modules.get("__main__")
    spec, path = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    return Begin(
        path=[str(Path(each).absolute()) for each in sys.path],
        argv=list(sys.argv),
        main_name=None if spec is None else spec.name,
        main_path=None if path is None else str(Path(path).absolute()),
        targets=list(targets),
        memory_bytes_max=settings.memory_bytes_max,
        logging=_logging(),
    )


def _logging() -> bytes:
    """How this process logs, as far as another one can do the same."""
    root = logging.getLogger()
    if not root.handlers:
        return b""
    named = logging.Logger.manager.loggerDict
    loggers = [each for each in named.values() if isinstance(each, logging.Logger)]
    levels = {each.name: each.level for each in loggers if each.level} | {"": root.level}
    formatters = [each.formatter for each in root.handlers if each.formatter is not None]
    try:
        return pickle.dumps(LoggingPlan(levels, formatters[0] if formatters else None))
    except Exception:  # noqa: BLE001 - a format of the program's own may be anything
        return pickle.dumps(LoggingPlan(levels, None))
