"""Handlers: what a program does with a job.

A handler takes the payload, or the payload and the `JobContext`, told apart by its required
positional parameters. Async functions run on the loop, plain ones in a thread, and those that say
so in a process. One that is named as ``package.module:name`` is imported when the first of its
jobs comes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from osqueue.client.models import Job
from osqueue.client.payloads import decode_payload
from osqueue.config import CLAIM_TYPES_MAX
from osqueue.errors import ConfigError, PayloadValidationError, WorkerExecutionError
from osqueue.jobs import HandlerSpec, Reference, TypedJob, inspect_handler
from osqueue.jobs.schema import Schema
from osqueue.worker.failures import FatalError
from osqueue.worker.processes import target_of, types_of
from osqueue.worker.results import kept_result

__all__ = ["AnyHandler", "Handler", "Handlers", "Place"]

AnyHandler: TypeAlias = Callable[..., Any] | str | HandlerSpec
"""A function, or where to import it from: ``package.module:name``."""


class Place(Enum):
    """Where a handler runs."""

    LOOP = auto()
    THREAD = auto()
    PROCESS = auto()


class Handler(msgspec.Struct, frozen=True, kw_only=True):
    """A handler, looked at once."""

    spec: HandlerSpec
    place: Place
    function: Callable[..., Any] | None = None
    """``None`` in a process: it is imported there."""
    target: str = ""
    """By what name a process imports it."""
    types: bytes = b""
    """What that process is told of the payload and the result."""
    takes_context: bool = False

    def payload(self, job: Job) -> Any:
        """What the handler is given of a job. Raises `FatalError`."""
        schema = self.spec.schema
        try:
            return job.payload if schema is None else schema.decode(job.raw_payload)
        except PayloadValidationError as error:
            raise FatalError(error) from None

    def returned(self, result: bytes) -> Any:
        """What it returned in a process, for those who are around it."""
        schema = self.spec.result
        return decode_payload(result) if schema is None else schema.decode(result)

    def kept(self, result: object) -> Raw:
        """What it returned, as it is kept with the job. Raises `FatalError`."""
        return kept_result(result, self.spec.result)


class Handlers:
    """Handlers by job type. Raises `ConfigError` for one that cannot be called with a job."""

    def __init__(self, handlers: Mapping[str, AnyHandler]) -> None:
        if not handlers:
            raise ConfigError("a worker needs at least one handler")
        if len(handlers) > CLAIM_TYPES_MAX:
            raise ConfigError(f"a worker can have at most {CLAIM_TYPES_MAX} handlers")
        self._specs = {name: _spec(name, each) for name, each in handlers.items()}
        self._ready = {
            name: inspected(name, spec)
            for name, spec in self._specs.items()
            if not _wants_import(spec)
        }

    @property
    def types(self) -> list[str]:
        """The job types that there are handlers for."""
        return list(self._specs)

    @property
    def schemas(self) -> dict[str, Schema | None]:
        """What payloads must be, by job type, as far as it is known without an import; ``None``:
        any JSON.
        """
        ready = dict(self._ready)  # it is added to by threads
        known = self._specs | {name: each.spec for name, each in ready.items()}
        return {name: spec.schema for name, spec in known.items()}

    @property
    def concurrency(self) -> dict[str, int]:
        """Of these types at most so many run at a time: what was said, and in processes no more
        than there are processors, which is all that such work can use.
        """
        limits = {name: _limit(spec) for name, spec in self._specs.items()}
        return {name: limit for name, limit in limits.items() if limit is not None}

    @property
    def in_processes(self) -> bool:
        """Whether any of them runs in a process."""
        return any(spec.executor == "process" for spec in self._specs.values())

    @property
    def targets(self) -> list[str]:
        """What processes import."""
        return [each.target for each in self._ready.values() if each.place is Place.PROCESS]

    def get(self, job_type: str) -> Handler | None:
        """The handler, if there is one that needs no import first."""
        return self._ready.get(job_type)

    def timeout_s(self, job_type: str) -> float | None:
        """The time of one attempt, as far as it is known without an import."""
        spec = self._specs.get(job_type)
        return None if spec is None else spec.timeout_s

    def load(self, job_type: str) -> Handler:
        """The handler, imported if need be: this takes its time. Raises `FatalError`."""
        ready, spec = self._ready.get(job_type), self._specs.get(job_type)
        if ready is not None:
            return ready
        if spec is None:
            raise FatalError(WorkerExecutionError(f"no handler for {job_type!r}"))
        try:
            handler = inspected(job_type, _imported(job_type, spec))
        except ConfigError as error:
            raise FatalError(error) from error.__cause__
        self._ready[job_type] = handler
        return handler


def _limit(spec: HandlerSpec) -> int | None:
    if spec.concurrency is None and spec.executor == "process":
        return os.cpu_count() or 1
    return spec.concurrency


def inspected(job_type: str, spec: HandlerSpec) -> Handler:
    """A handler, looked at. Raises `ConfigError`."""
    for schema in (spec.schema, spec.result):
        if schema is not None:
            schema.prepare()
    function = spec.function
    if isinstance(function, str):
        return _in_process(spec, function)
    signature = inspect_handler(job_type, function)
    if spec.executor == "process":
        return _in_process(spec, target_of(function))
    return Handler(
        spec=spec,
        place=Place.LOOP if signature.on_loop else Place.THREAD,
        function=function,
        takes_context=signature.takes_context,
    )


def _in_process(spec: HandlerSpec, target: str) -> Handler:
    types = types_of(spec.schema, spec.result)
    return Handler(spec=spec, place=Place.PROCESS, target=target, types=types)


def _spec(job_type: str, handler: AnyHandler) -> HandlerSpec:
    if not job_type:
        raise ConfigError("a handler needs a job type: jobs without one cannot be asked for")
    spec = handler if isinstance(handler, HandlerSpec) else _said(handler)
    if isinstance(spec.function, str):
        _reference(job_type, spec.function)
    return spec


def _said(handler: Callable[..., Any] | str) -> HandlerSpec:
    return handler.spec if isinstance(handler, TypedJob) else HandlerSpec(function=handler)


def _wants_import(spec: HandlerSpec) -> bool:
    schemas = [each for each in (spec.schema, spec.result) if each is not None]
    if any(each.reference is not None for each in schemas):
        return True
    return isinstance(spec.function, str) and spec.executor != "process"


def _imported(job_type: str, spec: HandlerSpec) -> HandlerSpec:
    """The same, with its function. Raises `ConfigError`, whatever the import fails of."""
    if not isinstance(spec.function, str) or spec.executor == "process":
        return spec
    try:
        found = _reference(job_type, spec.function).load()
    except SystemExit as error:  # a module may end the program; but not this one
        raise ConfigError(
            f"the handler of {job_type!r} is {spec.function!r}, whose module exits when it is "
            f"imported: SystemExit: {error}"
        ) from error
    if not isinstance(found, TypedJob):
        return msgspec.structs.replace(spec, function=found)
    return _filled(job_type, spec, found.spec)


def _filled(job_type: str, spec: HandlerSpec, job: HandlerSpec) -> HandlerSpec:
    """What was said of a handler, and for the rest what the job that it names says itself."""
    if job.executor == "process":
        raise ConfigError(
            f"the handler of {job_type!r} is {spec.function!r}, which runs in a process: pass the "
            "worker that job itself, not its name"
        )
    return msgspec.structs.replace(
        spec,
        function=job.function,
        schema=spec.schema or job.schema,
        result=spec.result or job.result,
        timeout_s=job.timeout_s if spec.timeout_s is None else spec.timeout_s,
    )


def _reference(job_type: str, path: str) -> Reference:
    return Reference(path, f"the handler of {job_type!r}")
